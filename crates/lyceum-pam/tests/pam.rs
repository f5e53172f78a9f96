//! Accounts of the machine, against the system's own PAM. Its rules and accounts are this test's: `libpam_wrapper`
//! and `libnss_wrapper` are loaded into a process of its own, which runs the test that stands beside.

#![cfg(feature = "system")]

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lyceum_auth::pam::{Allow, PamConfig};
use lyceum_auth::{Attempt, Authenticator, Refused};
use lyceum_model::identity::{Adopts, Identity};
use lyceum_model::secret::Secret;
use lyceum_pam::Pam;

const INSIDE: &str = "LYCEUM_TEST_PAM_INSIDE";
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
const MATRIX: &str = "pam_wrapper/pam_matrix.so";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("written");
}

/// Runs the test below where the rules of this folder hold.
#[test]
fn the_rules_of_the_machine_hold() {
    let libraries = std::env::var("LYCEUM_TEST_PAM_LIBRARIES").unwrap_or(LIBRARIES.into());
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let services = folder.join("services");
    fs::create_dir(&services).expect("a folder");
    let matrix = format!("{libraries}/{MATRIX} passdb={}/passdb", folder.display());
    let plain = format!("auth required {matrix}\naccount required {matrix}\n");
    write(&services, "lyceum", &plain);
    let denied = "account required pam_deny.so\n";
    write(
        &services,
        "closed",
        &format!("auth required {matrix}\n{denied}"),
    );
    let slow = "auth required pam_exec.so quiet /bin/sleep 30\n";
    write(&services, "slow", slow);
    // Keeps the names that it is asked about.
    let asked = folder.join("asked");
    let noting = format!(
        "auth optional pam_exec.so quiet log={} /usr/bin/printenv PAM_USER\nauth required {matrix}\naccount required pam_permit.so\n",
        asked.display()
    );
    write(&services, "noting", &noting);
    write(&services, "broken", "auth required pam_not_there.so\n");
    let names = ["ada", "ben", "cid", "sys", "nobody", "gone"];
    let passwords = names.map(|name| format!("{name}:secret of {name}:lyceum\n"));
    let closed = names.map(|name| format!("{name}:secret of {name}:closed\n"));
    let noted = names.map(|name| format!("{name}:secret of {name}:noting\n"));
    let root = "root:secret of root:lyceum\nroot:secret of root:noting\n";
    write(
        folder,
        "passdb",
        &format!(
            "{}{}{}{root}",
            passwords.concat(),
            closed.concat(),
            noted.concat()
        ),
    );
    let people = "root:x:0:0:root:/root:/bin/sh\nada:x:5001:5001:Ada Lovelace,Room 1:/home/ada:/bin/sh\n\
                  ben:x:5002:5002::/home/ben:/bin/sh\ncid:x:5003:5003::/home/cid:/bin/sh\n\
                  sys:x:999:999::/nonexistent:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
    write(folder, "passwd", people);
    write(
        folder,
        "group",
        "ada:x:5001:\nben:x:5002:\ncid:x:5003:\nstaff:x:6000:ada\n",
    );
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "inside", "--nocapture"])
        .env(INSIDE, "1")
        .env(
            "LD_PRELOAD",
            format!("{libraries}/libpam_wrapper.so:{libraries}/libnss_wrapper.so"),
        )
        .env("PAM_WRAPPER", "1")
        .env("PAM_WRAPPER_SERVICE_DIR", &services)
        .env("NSS_WRAPPER_PASSWD", folder.join("passwd"))
        .env("NSS_WRAPPER_GROUP", folder.join("group"))
        .output()
        .expect("this program runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}");
    assert!(said.contains("inside: all of it"), "{said}");
    assert!(!said.contains("secret of ada"), "no password is told");
    // A guess at an account of the system is nothing that its modules hear of.
    let asked = fs::read_to_string(asked).expect("names");
    assert!(asked.lines().any(|line| line == "ada"), "{asked}");
    for name in ["root", "sys", "nobody"] {
        assert!(!asked.lines().any(|line| line == name), "{asked}");
    }
}

fn pam(service: &str, allow: Option<Allow>) -> Pam {
    Pam::new(PamConfig {
        title: "This machine".into(),
        service: service.into(),
        allow,
        adopts: Adopts::default(),
        timeout: Duration::from_secs(20),
        at_once: 4,
    })
}

async fn ask(pam: &Pam, name: &str, password: &str) -> Result<Identity, Refused> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let attempt = Attempt::new(name, Secret::new(password), address)?;
    pam.sign_in(&attempt).await
}

/// Nothing by itself: the machine's own rules are nobody's business.
#[tokio::test(flavor = "multi_thread")]
async fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let all = pam("lyceum", Some(Allow::Everyone));
    assert!(all.names_people());
    let ada = ask(&all, "Ada", "secret of ada")
        .await
        .expect("she comes in");
    assert_eq!(
        (ada.name.as_str(), ada.posix.uid, ada.posix.gid),
        ("ada", Some(5_001), Some(5_001))
    );
    assert_eq!(ada.display_name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(ada.subject.expect("a mark").id, "5001:ada");
    assert_eq!(ada.admin, None);
    for (name, password) in [
        ("ada", "secret of ben"),
        ("ada", "secret of ada "),
        ("stranger", "secret of ada"),
        ("ada", "secret\0of ada"),
    ] {
        let refused = ask(&all, name, password).await;
        assert!(
            matches!(refused, Err(Refused::Credentials)),
            "{name}: {refused:?}"
        );
    }
    // Of the system itself nobody comes in, and the right password is answered like a wrong one.
    let noting = pam("noting", Some(Allow::Everyone));
    let noted = ask(&noting, "ada", "secret of ada").await;
    assert!(noted.is_ok(), "{noted:?}");
    for name in ["root", "sys", "nobody"] {
        for way_in in [&all, &noting] {
            let refused = ask(way_in, name, &format!("secret of {name}")).await;
            assert!(
                matches!(refused, Err(Refused::Credentials)),
                "{name}: {refused:?}"
            );
        }
    }
    // Known to PAM, and no account.
    let refused = ask(&all, "gone", "secret of gone").await;
    assert!(matches!(refused, Err(Refused::Internal(_))), "{refused:?}");
    let staff: BTreeSet<String> = ["staff".to_owned()].into();
    let staff = pam("lyceum", Some(Allow::Groups(staff)));
    assert!(ask(&staff, "ada", "secret of ada").await.is_ok());
    let refused = ask(&staff, "ben", "secret of ben").await;
    assert!(matches!(refused, Err(Refused::NotAdmitted)), "{refused:?}");
    assert!(!pam("lyceum", None).names_people());
    // The account is closed: said only to whoever knows the password.
    let closed = pam("closed", Some(Allow::Everyone));
    let refused = ask(&closed, "cid", "secret of cid").await;
    assert!(matches!(refused, Err(Refused::NotAdmitted)), "{refused:?}");
    let refused = ask(&closed, "cid", "wrong").await;
    assert!(matches!(refused, Err(Refused::Credentials)), "{refused:?}");
    // Rules that can't be read, and modules that never end.
    let broken = ask(&pam("broken", None), "ada", "secret of ada").await;
    assert!(matches!(broken, Err(Refused::Internal(_))), "{broken:?}");
    let slow = Pam::new(PamConfig {
        timeout: Duration::from_millis(300),
        at_once: 1,
        ..config_of("slow")
    });
    let begun = std::time::Instant::now();
    let first = ask(&slow, "ada", "secret of ada").await;
    assert!(matches!(first, Err(Refused::Internal(_))), "{first:?}");
    // The place is taken until the module is done.
    let second = ask(&slow, "ada", "secret of ada").await;
    assert!(matches!(second, Err(Refused::Busy)), "{second:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    println!("inside: all of it");
    // The thread of the slow one would be waited for.
    #[expect(clippy::exit, reason = "it is a process of this test's own")]
    std::process::exit(0);
}

fn config_of(service: &str) -> PamConfig {
    PamConfig {
        title: "This machine".into(),
        service: service.into(),
        allow: None,
        adopts: Adopts::default(),
        timeout: Duration::from_secs(20),
        at_once: 4,
    }
}
