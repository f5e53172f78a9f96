//! `lyceum doctor`: it looks at what `lyceum up` would use, and finds what that would.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::harness::Site;
use crate::up::site_with_python;

/// The lines about one check.
fn lines_of(out: &str, name: &str) -> String {
    out.lines()
        .skip_while(|line| line.split_whitespace().nth(1) != Some(name))
        .enumerate()
        .take_while(|(at, line)| *at == 0 || line.starts_with("         "))
        .map(|(_, line)| format!("{line}\n"))
        .collect()
}

/// Where tests run as root, servers would run under system accounts, which can't reach a home in the data folder.
const SHARED: &str = "spawner: {accounts: shared}\n";

fn close(site: &Site, folder: &str) {
    let path = site.path(folder);
    std::fs::create_dir(&path).expect("made");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).expect("mode");
}

#[test]
fn a_folder_that_up_can_not_make_is_a_problem() {
    let site = site_with_python();
    close(&site, "closed");
    let folder = ["--data", "closed/data"];
    let said = site.run_as_nobody(&["doctor", folder[0], folder[1], "--port", "0"]);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert_snapshot!(lines_of(&said.out, "data"), @r#"
    PROBLEM  data      the data folder closed/data can't be made: SITE/closed can't be written (Permission denied (os error 13))
                       choose a data folder that you may write with --data, or mend its owner and mode
    "#);
    let said = site.run_as_nobody(&["up", folder[0], folder[1], "--port", "0"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: the data folder closed/data can't be made: SITE/closed can't be written (Permission denied (os error 13))
            choose a data folder that you may write with --data, or mend its owner and mode
    "#);
}

#[test]
fn whose_hosts_servers_have() {
    let site = site_with_python();
    let hosts = |config: &str| {
        site.write("lyceum.yaml", config);
        let said = site.run(&["doctor", "--port", "0"]);
        lines_of(&said.out, "hosts")
    };
    assert_snapshot!(hosts(""), @"good     hosts     each person's servers have a host of their own below localhost");
    assert_snapshot!(hosts("subdomains: false\n"), @r#"
    good     hosts     the hub and all servers share one host
                       a page of a server is a page of the hub's host then, so browsers open their owner's servers only; `subdomains: true` gives each person a host
    "#);
    assert_snapshot!(hosts("public_url: https://lab.invalid\nsubdomains: true\n"), @r#"
    PROBLEM  hosts     the DNS knows no lyceum-doctor.lab.invalid, so nobody reaches servers below lab.invalid
                       add a record for *.lab.invalid, or set `subdomains: false`
    "#);
    let listen = "listen: 0.0.0.0:0\n";
    // Others come, and nobody has said that one host is meant.
    let loud = hosts("public_url: https://lab.example.edu\n");
    assert!(loud.starts_with("PROBLEM  hosts"), "{loud}");
    assert!(loud.contains("share the host lab.example.edu"), "{loud}");
    assert!(loud.contains("certificate for *.lab.example.edu"), "{loud}");
    let number = hosts("public_url: https://192.0.2.7\n");
    assert!(number.starts_with("PROBLEM  hosts"), "{number}");
    let meant = hosts("public_url: https://lab.example.edu\nsubdomains: false\n");
    assert!(meant.starts_with("good     hosts"), "{meant}");
    assert!(hosts(listen).contains("share one host"));
    assert!(hosts("tls: {certificates: [{certificate: c, key: k}]}\n").contains("share one host"));
    assert!(hosts("public_url: http://lab.localhost:8000\n").contains("below lab.localhost"));
}

#[test]
fn below_which_path_all_of_it_is() {
    let site = site_with_python();
    let base = |config: &str| {
        site.write("lyceum.yaml", config);
        let said = site.run(&["doctor", "--port", "0"]);
        lines_of(&said.out, "base")
    };
    assert_snapshot!(base(""), @"good     base      everything of the host is Lyceum's");
    assert_snapshot!(base("base_url: /jupyter/\n"), @r#"
    good     base      Lyceum is below /jupyter/, the rest of the host is for others
                       a web server in front must pass the path on as it is; servers that run since before it was changed answer at the old one until they are stopped
    "#);
    let service = "services: [{name: dash, command: [dash], url: 'http://127.0.0.1:9', oauth_redirect_uri: PATH}]\n";
    let with = |path: &str| {
        let service = service.replace("PATH", path);
        base(&format!(
            "public_url: https://example.edu/jupyter/\n{service}"
        ))
    };
    assert_snapshot!(with("/services/dash/oauth_callback"), @r#"
    PROBLEM  base      `oauth_redirect_uri` of the service dash is /services/dash/oauth_callback, which is not below /jupyter/
                       write the whole path, such as /jupyter/services/NAME/oauth_callback
    "#);
    for good in ["/jupyter/services/dash/back", "'https://example.edu/x'"] {
        assert!(with(good).starts_with("good "), "{good}");
    }
}

#[test]
fn subdomains_need_a_name() {
    let site = Site::new();
    let said = |config: &str| {
        site.write("lyceum.yaml", config);
        site.run(&["config", "check"]).out
    };
    let of_numbers = said("public_url: https://10.0.0.1\nsubdomains: true\n");
    assert!(
        of_numbers.contains("there are no names below a number"),
        "{of_numbers}"
    );
    let of_nothing = said("listen: 0.0.0.0:8000\nsubdomains: true\n");
    assert!(
        of_nothing.contains("`public_url` must be set"),
        "{of_nothing}"
    );
}

#[test]
fn the_port_that_up_would_take() {
    let site = site_with_python();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let listen = taken.local_addr().expect("bound");
    let port = listen.port().to_string();
    site.write("lyceum.yaml", &format!("listen: {listen}\n{SHARED}"));
    let said = site.run(&["doctor"]);
    assert_eq!(said.code, Some(3), "{}", said.out);
    assert_snapshot!(lines_of(&said.out, "port").replace(&port, "PORT"), @r#"
    PROBLEM  port      port PORT is taken by another program
                       choose another with --port, or set `listen` in lyceum.yaml
    "#);
    let said = site.run(&["doctor", "--port", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    site.write("lyceum.yaml", "");
    let said = site.run(&["doctor", "--port", &port]);
    assert_eq!(said.code, Some(3), "{}", said.out);
    assert!(lines_of(&said.out, "port").starts_with("PROBLEM"));
}

#[test]
fn what_a_broken_configuration_hides_is_not_called_good() {
    let site = site_with_python();
    let up = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(up.code, Some(0), "{}", up.err);
    site.write("lyceum.yaml", "prot: 8000\n");
    let said = site.run(&["doctor"]);
    assert_eq!(said.code, Some(3), "{}", said.out);
    assert_eq!(said.out.matches("`prot`").count(), 1, "{}", said.out);
    for name in [
        "templates",
        "courses",
        "port",
        "hosts",
        "base",
        "accounts",
        "limits",
        "sign-in",
        "mail",
    ] {
        let line = lines_of(&said.out, name);
        let expect = format!("skipped  {name:8}  not looked at: the configuration has problems\n");
        assert_eq!(line, expect);
    }
    assert!(lines_of(&said.out, "data").starts_with("good "));
    let said = site.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json["problems"], 1, "{json}");
    let results = json["checks"].as_array().expect("a list").iter();
    let results: Vec<_> = results.map(|check| &check["result"]).collect();
    assert_eq!(results[0], "problem");
    assert_eq!(results[1], "not_looked_at");
}

#[test]
fn a_role_that_keeps_people_from_the_exchange_is_noted() {
    let site = site_with_python();
    site.write(
        "lyceum.yaml",
        &format!("{SHARED}load_roles: [{{name: user, scopes: [self, 'shares!user']}}]\n"),
    );
    let said = site.run(&["doctor", "--port", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    let config = lines_of(&said.out, "config");
    assert!(config.starts_with("good     config"), "{config}");
    let note = "load_roles: user: its `scopes` take the place";
    assert!(config.contains(note), "{config}");
}

#[test]
fn what_up_would_refuse_is_found_before() {
    let site = site_with_python();
    let accounts = |config: &str| {
        site.write("lyceum.yaml", config);
        let said = site.run(&["doctor", "--port", "0"]);
        lines_of(&said.out, "accounts")
    };
    let shared = accounts(SHARED);
    assert!(shared.starts_with("good     accounts"), "{shared}");
    if !rustix::process::geteuid().is_root() {
        let said = accounts("spawner: {accounts: system}\n");
        assert!(said.starts_with("PROBLEM  accounts"), "{said}");
        assert!(said.contains("needs root"), "{said}");
        return;
    }
    // Before there is a data folder, and then.
    for _ in 0..2 {
        let said = accounts("");
        assert!(said.starts_with("PROBLEM  accounts"), "{said}");
        assert!(said.contains("can't reach"), "{said}");
        assert!(
            said.contains("set `spawner: {homes: /srv/homes}`"),
            "{said}"
        );
        let up = site.up(&["up", "--demo", "--port", "0"]);
        assert_eq!(up.code, Some(0), "{}", up.err);
    }
    let open = format!("spawner: {{homes: {}}}\n", std::env::temp_dir().display());
    let said = accounts(&open);
    assert!(said.starts_with("good     accounts"), "{said}");
    let names = format!("{open}sign_in: [{{kind: local, title: T, sign_up: open}}]\n");
    let said = accounts(&names);
    assert!(said.starts_with("PROBLEM  accounts"), "{said}");
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(3), "{}", said.out);
    assert!(said.out.contains("sign_up: approval"), "{}", said.out);
}

#[test]
fn those_who_say_who_people_are_are_asked() {
    let site = site_with_python();
    let lines = |args: &[&str], name: &str| {
        let said = site.run(&[&["doctor", "--port", "0"], args].concat());
        (said.code, lines_of(&said.out, name))
    };
    site.write("lyceum.yaml", SHARED);
    let (code, said) = lines(&[], "sign-in");
    assert_eq!(code, Some(0), "{said}");
    assert_snapshot!(said, @"good     sign-in   nobody else is asked who people are");
    assert_snapshot!(lines(&[], "mail").1, @"good     mail      no mail is sent");
    // Where nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    site.write(
        "lyceum.yaml",
        &format!(
            "public_url: http://lab.localhost:8000
{SHARED}sign_in:
  - {{kind: oidc, title: University, issuer: 'http://127.0.0.1:{port}', client_id: c, allow: {{everyone: true}}}}
  - {{kind: ldap, title: Staff, servers: ['ldap://127.0.0.1:{port}'], insecure: true, base: 'o=x', allow: {{everyone: true}}}}
mail: {{server: 127.0.0.1, port: {port}, security: none, from: lyceum@example.edu}}
"
        ),
    );
    let (code, said) = lines(&[], "sign-in");
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.starts_with("PROBLEM  sign-in   University: "),
        "{said}"
    );
    assert!(
        said.contains(&format!("Staff: ldap://127.0.0.1:{port}: ")),
        "{said}"
    );
    // Once for each of the two.
    assert_eq!(said.matches("Connection refused").count(), 2, "{said}");
    assert!(
        said.contains("look at `issuer`") && said.contains("look at `servers`"),
        "{said}"
    );
    let (_, said) = lines(&[], "mail");
    assert!(said.starts_with("PROBLEM  mail "), "{said}");
    assert_eq!(said.matches("Connection refused").count(), 1, "{said}");
    let (code, said) = lines(&["--offline"], "sign-in");
    assert_eq!(code, Some(0), "{said}");
    assert_snapshot!(said, @"skipped  sign-in   not looked at: --offline");
    assert_snapshot!(lines(&["--offline"], "mail").1, @"skipped  mail      not looked at: --offline");
}

#[test]
fn mistakes_in_course_files() {
    let site = site_with_python();
    site.write("lyceum.yaml", SHARED);
    let courses = || {
        let said = site.run(&["doctor", "--port", "0"]);
        (said.code, lines_of(&said.out, "courses"))
    };
    let (_, said) = courses();
    assert_snapshot!(said, @"skipped  courses   not looked at: the data folder is not there yet");
    let up = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(up.code, Some(0), "{}", up.err);
    let (code, said) = courses();
    assert_eq!(code, Some(0), "{said}");
    assert_snapshot!(said, @"good     courses   the course file is good");
    site.write(
        "lyceum-data/courses/bio.yaml",
        "title: Biology\npeopel: {}\n",
    );
    let (code, said) = courses();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("PROBLEM  courses "), "{said}");
    let place = "lyceum-data/courses/bio.yaml:2:1: ";
    assert!(said.contains(place) && said.contains("`people`"), "{said}");
}

#[test]
fn course_files_that_can_not_be_read_are_not_good() {
    let site = site_with_python();
    site.write("lyceum.yaml", SHARED);
    let up = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(up.code, Some(0), "{}", up.err);
    let folder = site.path("lyceum-data/courses");
    for file in std::fs::read_dir(&folder).expect("there") {
        std::fs::remove_file(file.expect("listed").path()).expect("removed");
    }
    let courses = || {
        let said = site.run(&["doctor", "--port", "0"]);
        (said.code, lines_of(&said.out, "courses"))
    };
    let (_, said) = courses();
    assert_snapshot!(said, @"good     courses   there are no course files");
    std::os::unix::fs::symlink("bio.yaml", folder.join("bio.yaml")).expect("linked");
    let (code, said) = courses();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("PROBLEM  courses "), "{said}");
    assert!(said.contains("bio.yaml: can't be read: "), "{said}");
    // Without a Lyceum that runs it may be that there never was one.
    std::fs::rename(&folder, site.path("aside")).expect("moved");
    let (code, said) = courses();
    assert_eq!(code, Some(0), "{said}");
    let lock = std::fs::File::open(site.path("lyceum-data/lock")).expect("there");
    lock.lock().expect("taken");
    let (code, said) = courses();
    assert_eq!(code, Some(3), "{said}");
    assert_snapshot!(said, @r#"
    PROBLEM  courses   the course folder SITE/lyceum-data/courses is gone
                       put it back; the running Lyceum keeps the last good version of each course file until then
    "#);
    std::fs::write(&folder, "").expect("written");
    let (code, said) = courses();
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("lyceum-data/courses: can't be read: "),
        "{said}"
    );
}

#[test]
fn limits_are_one_short_sentence() {
    let site = site_with_python();
    let up = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(up.code, Some(0), "{}", up.err);
    let said = site.run(&["doctor", "--port", "0"]);
    let limits = lines_of(&said.out, "limits");
    assert_eq!(limits.lines().count(), 1, "{limits}");
    assert!(limits.len() < 120, "{limits}");
    let json = site.run(&["doctor", "--port", "0", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let checks = json["checks"].as_array().expect("a list");
    let check = checks.iter().find(|check| check["name"] == "limits");
    let details = check.expect("limits")["details"].as_array().cloned();
    // How many there are depends on the machine; all are told when asked for.
    let verbose = site.run(&["doctor", "--port", "0", "--verbose"]).out;
    let told = lines_of(&verbose, "limits").lines().count();
    assert_eq!(told, 1 + details.unwrap_or_default().len(), "{verbose}");
}

#[test]
fn doctor_tells_machines_too() {
    let site = site_with_python();
    site.write("lyceum.yaml", &format!("listen: 127.0.0.1:0\n{SHARED}"));
    let said = site.run(&["doctor", "--json"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json["problems"], 0);
    assert!(!site.path("lyceum-data").exists(), "doctor changes nothing");

    std::fs::remove_file(site.path("bin/python3")).expect("removed");
    let said = site.run(&["doctor", "--json"]);
    assert_eq!(said.code, Some(3));
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let checks = json["checks"].as_array().expect("a list");
    let bad: Vec<_> = checks
        .iter()
        .filter(|check| check["result"] == "problem")
        .collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["name"], "python");
}
