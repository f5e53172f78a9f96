//! The environment of a server: as a pure function, and as a process really sees it.

use std::collections::BTreeMap;

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::server::Resources;
use lyceum_spawn::Spawner;
use lyceum_spawn::env::{Surroundings, build, inherit};

use crate::rig::{LIMIT, Rig, python, shell};

#[test]
fn the_environment_is_what_clients_rely_on() {
    let mut order = shell("true");
    order.hub.user = UserName::parse("ada+x@uni.edu").expect("a name");
    order.hub.server = ServerName::parse("gpu").expect("a name");
    order.hub.prefix = "/b/user/ada+x@uni.edu/gpu/".into();
    order.hub.base_url = "/b/".into();
    order.hub.api_url = "http://127.0.0.1:8081/b/hub/api".into();
    order.hub.client_id = "jupyterhub-user-ada%2Bx%40uni.edu-gpu".into();
    order.spec.path_first = vec!["/opt/jupyter/bin".into()];
    order.spec.default_url = Some("/lab".into());
    order.spec.resources = Resources {
        memory_limit: Some(2 << 30),
        cpu_limit: Some(2.0),
        cpu_guarantee: Some(0.5),
        ..Resources::default()
    };
    order.spec.env = [("LANG".to_owned(), "de_DE.UTF-8".to_owned())].into();
    let own = [
        ("PATH", "/usr/bin:/bin"),
        ("TZ", "Europe/Vienna"),
        ("DATABASE_URL", "secret"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let around = Surroundings {
        address: "http://127.0.0.1:41234",
        home: "/homes/ada",
        shell: "/bin/bash",
        inherited: &inherit(own, &[]),
    };
    let env = build(&order, &around).expect("good");
    let lines: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    CPU_GUARANTEE=0.5
    CPU_LIMIT=2.0
    HOME=/homes/ada
    JPY_API_TOKEN=token-that-must-not-leak
    JUPYTERHUB_ACTIVITY_URL=http://127.0.0.1:8081/b/hub/api/users/ada%2Bx@uni.edu/activity
    JUPYTERHUB_API_TOKEN=token-that-must-not-leak
    JUPYTERHUB_API_URL=http://127.0.0.1:8081/b/hub/api
    JUPYTERHUB_BASE_URL=/b/
    JUPYTERHUB_CLIENT_ID=jupyterhub-user-ada%2Bx%40uni.edu-gpu
    JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED=0
    JUPYTERHUB_DEFAULT_URL=/lab
    JUPYTERHUB_HOST=
    JUPYTERHUB_OAUTH_ACCESS_SCOPES=["access:servers!server=ada/"]
    JUPYTERHUB_OAUTH_CALLBACK_URL=/b/user/ada+x@uni.edu/gpu/oauth_callback
    JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES=[]
    JUPYTERHUB_OAUTH_SCOPES=["access:servers!server=ada/"]
    JUPYTERHUB_PUBLIC_HUB_URL=
    JUPYTERHUB_PUBLIC_URL=
    JUPYTERHUB_SERVER_NAME=gpu
    JUPYTERHUB_SERVICE_PREFIX=/b/user/ada+x@uni.edu/gpu/
    JUPYTERHUB_SERVICE_URL=http://127.0.0.1:41234/b/user/ada+x@uni.edu/gpu/
    JUPYTERHUB_USER=ada+x@uni.edu
    LANG=de_DE.UTF-8
    LOGNAME=ada+x@uni.edu
    MEM_LIMIT=2147483648
    PATH=/opt/jupyter/bin:/usr/bin:/bin
    SHELL=/bin/bash
    TZ=Europe/Vienna
    USER=ada+x@uni.edu
    "#);
}

#[test]
fn only_declared_names_are_inherited() {
    let own = ["PATH", "LC_ALL", "LD_PRELOAD", "HTTPS_PROXY", "LYCEUM_KEY"];
    let own = own.map(|name| (name.to_owned(), "x".to_owned()));
    let kept = inherit(own, &["HTTPS_PROXY".into()]);
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    assert_eq!(names, ["HTTPS_PROXY", "LC_ALL", "PATH"]);
}

#[tokio::test]
async fn a_process_sees_nothing_else() {
    let rig = Rig::new();
    let mut order = python(
        "import os, json\n\
         print(json.dumps({'env': dict(os.environ), 'cwd': os.getcwd(), \
         'stdin': os.readlink('/proc/self/fd/0'), 'fds': len(os.listdir('/proc/self/fd')), \
         'leads': os.getsid(0) == os.getpid()}))",
    );
    order.spec.env.insert("MINE".into(), "yes".into());
    order
        .spec
        .env
        .insert("JUPYTERHUB_HOST".into(), "wins".into());
    let started = rig.start(&order).await;
    rig.wait_for_end(&order).await;
    let lines = rig.spawner.log_tail(&order.key, 1).await.expect("readable");
    let seen: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    let env: BTreeMap<String, String> = serde_json::from_value(seen["env"].clone()).expect("texts");
    assert_eq!(env["MINE"], "yes");
    assert_eq!(env["JUPYTERHUB_HOST"], "wins");
    assert_eq!(
        env["JUPYTERHUB_SERVICE_URL"],
        format!("{}/user/ada/", started.address)
    );
    let expected = [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SHELL",
        "USER",
        "MINE",
        "JPY_API_TOKEN",
    ];
    for name in env.keys() {
        let known = expected.contains(&name.as_str())
            || name.starts_with("JUPYTERHUB_")
            || name == "LYCEUM_RUN"
            || name == "LC_CTYPE";
        assert!(known, "{name} came from somewhere");
    }
    assert_eq!(seen["cwd"], env["HOME"].as_str());
    assert_eq!(seen["stdin"], "/dev/null");
    assert_eq!(seen["leads"], true);
    // stdin, stdout, stderr, and the listing itself.
    assert_eq!(seen["fds"], 4);
}

/// As after `nohup lyceum up &`.
#[tokio::test]
async fn what_the_hub_ignores_interrupts_a_server() {
    let rig = Rig::new();
    let folder = rig.dir.path().to_str().expect("UTF-8");
    let mut hub = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_spawn-test-shim"), "hub", folder])
        .arg("grep SigIgn: /proc/self/status > ../ignored; exec sleep 600")
        .spawn()
        .expect("a hub");
    let path = rig.dir.path().join("homes/ignored");
    let deadline = std::time::Instant::now() + LIMIT;
    let text = loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.ends_with('\n') {
            break text;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the server never came up"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    hub.kill().expect("killed");
    hub.wait().expect("waited for");
    rig.spawner.stop(&shell("").key).await.expect("it stops");
    let mask = text.trim().trim_start_matches("SigIgn:").trim();
    let mask = u64::from_str_radix(mask, 16).expect("a mask");
    for signal in [1, 2, 3, 15] {
        assert_eq!(mask >> (signal - 1) & 1, 0, "{signal} is ignored: {text}");
    }
}
