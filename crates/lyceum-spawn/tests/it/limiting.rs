//! Limits and accounts, as far as the machine has them; where it has not, the report must say so.

use lyceum_model::server::RunAs;
use lyceum_spawn::local::Mechanism;
use lyceum_spawn::{SpawnError, Spawner, Status, Steps};

use crate::rig::{Rig, python, shell};

const HUNGRY: &str = "
data = []
try:
    for n in range(64): data.append(bytearray(16 << 20))
except MemoryError:
    print('MemoryError'); raise SystemExit(7)
print('took it all')
";

#[tokio::test]
async fn memory_is_limited() {
    let rig = Rig::new();
    let mut order = python(HUNGRY);
    order.spec.resources.memory_limit = Some(300 << 20);
    rig.start(&order).await;
    let status = rig.wait_for_end(&order).await;
    match rig.spawner.capabilities().memory {
        Mechanism::Cgroup => assert!(
            matches!(&status, Status::Exited { reason, .. }
                if reason.to_string().contains("ran out of memory (limit 300 MB)")),
            "{status:?}"
        ),
        Mechanism::Rlimit => {
            assert!(
                matches!(status, Status::Exited { code: Some(7), .. }),
                "{status:?}"
            );
            let notes = rig.spawner.capabilities().notes.join("\n");
            assert!(notes.contains("each process"), "{notes}");
        }
        other => panic!("memory is always limited somehow: {other:?}"),
    }
}

#[tokio::test]
async fn files_and_cores_are_limited() {
    let rig = Rig::without_cgroups();
    let mut order = shell("echo files $(ulimit -n) cores $(ulimit -c)");
    order.spec.resources.open_files = Some(123);
    rig.start(&order).await;
    rig.wait_for_line(&order, "files 123 cores 0").await;
    rig.wait_for_end(&order).await;
    let report = rig.spawner.capabilities();
    assert_eq!(report.clean_up, Mechanism::ProcessTree);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("switched off")),
        "{report:?}"
    );
}

const WRITER: &str = "
import os, time
def write(name, size):
    with open(name, 'wb') as file: file.write(b'x' * (size << 20))
";

#[tokio::test]
async fn a_file_gets_no_larger_than_it_may() {
    let rig = Rig::new();
    let more = "
try: write('large', 3)
except OSError as error: print(error, os.path.getsize('large') >> 20); raise SystemExit(7)
";
    let mut order = python(&format!("{WRITER}{more}"));
    order.spec.resources.file_size = Some(2 << 20);
    rig.start(&order).await;
    let status = rig.wait_for_end(&order).await;
    assert!(
        matches!(status, Status::Exited { code: Some(7), .. }),
        "{status:?}"
    );
    rig.wait_for_line(&order, "File too large 2").await;
}

#[tokio::test]
async fn a_server_whose_home_grows_too_large_is_ended_and_says_so() {
    let rig = Rig::new();
    let more = "
for n in range(100000): write(f'{n}', 1); time.sleep(0.01)
";
    let mut order = python(&format!("{WRITER}{more}"));
    order.spec.resources.home_size = Some(8 << 20);
    rig.start(&order).await;
    let Status::Exited { reason, .. } = rig.wait_for_end(&order).await else {
        panic!("it ended");
    };
    let reason = reason.to_string();
    assert!(reason.contains("and may take 8 MB"), "{reason}");
    // Told again by whoever asks later.
    let status = rig.restarted().poll(&order.key).await.expect("known");
    assert!(
        matches!(&status, Status::Exited { reason: again, .. } if again.to_string() == reason),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_home_that_is_too_large_already_can_be_cleared_out() {
    let rig = Rig::new();
    let home = rig.dir.path().join("homes/ada");
    std::fs::create_dir(&home).expect("made");
    std::fs::write(home.join("old"), vec![b'x'; 20 << 20]).expect("written");
    let more = "
while not os.path.exists('go'): time.sleep(0.01)
os.remove('old')
while os.path.exists('go'): time.sleep(0.01)
for n in range(100000): write(f'{n}', 1); time.sleep(0.01)
";
    let mut order = python(&format!("{WRITER}{more}"));
    order.spec.resources.home_size = Some(10 << 20);
    rig.start(&order).await;
    // It was measured, and goes on.
    let lines = rig
        .wait_for_line(&order, "the files in the home take 20 of 10 MB")
        .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    std::fs::write(home.join("go"), "").expect("written");
    let pid = rig.child_pid(&order);
    while home.join("old").exists() {
        assert!(crate::rig::is_alive(pid), "it was ended");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    std::fs::remove_file(home.join("go")).expect("removed");
    let Status::Exited { reason, .. } = rig.wait_for_end(&order).await else {
        panic!("it ended");
    };
    let reason = reason.to_string();
    assert!(reason.contains("and may take 10 MB"), "{reason}");
}

#[tokio::test]
async fn a_home_that_can_not_be_measured_is_said_once() {
    use std::os::unix::fs::PermissionsExt;

    // Nothing is closed to root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let rig = Rig::new();
    let home = rig.dir.path().join("homes/ada");
    std::fs::create_dir(&home).expect("made");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o300)).expect("set");
    let mut order = shell("for n in 1 2 3 4 5; do sleep 0.1; done; echo done");
    order.spec.resources.home_size = Some(8 << 20);
    rig.start(&order).await;
    let status = rig.wait_for_end(&order).await;
    assert!(
        matches!(status, Status::Exited { code: Some(0), .. }),
        "{status:?}"
    );
    let lines = rig.wait_for_line(&order, "its limit is not kept").await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).expect("set");
}

pub(crate) fn nobody() -> RunAs {
    RunAs {
        account: "nobody".into(),
        uid: 65534,
        gid: 65534,
        groups: vec![65533],
        umask: Some(0o027),
    }
}

#[tokio::test]
async fn accounts_are_changed_only_by_root_and_never_to_root() {
    let rig = Rig::new();
    let mut order = shell(
        "id -u; id -g; id -G; umask; echo \"$USER $HOME\"; stat -c '%u %a' .; \
         grep NoNewPrivs /proc/self/status; touch made; grep 'Max processes' /proc/self/limits",
    );
    order.spec.run_as = Some(nobody());
    order.spec.resources.processes = Some(5000);
    if !rustix::process::geteuid().is_root() {
        let error = rig.spawner.start(&order, &Steps::silent()).await;
        let words = error.expect_err("not root").to_string();
        assert!(words.contains("not started as root"), "{words}");
        assert!(!rig.spawner.capabilities().run_as);
        return;
    }
    // The account must get through to its home, and must find the way to nothing else.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(rig.dir.path(), mode).expect("set");
    rig.start(&order).await;
    let status = rig.wait_for_end(&order).await;
    let lines = rig
        .spawner
        .log_tail(&order.key, 20)
        .await
        .expect("readable");
    assert!(
        matches!(status, Status::Exited { code: Some(0), .. }),
        "{status:?} {lines:?}"
    );
    let home = rig.dir.path().join("homes/ada");
    let home = format!("nobody {}", home.display());
    assert_eq!(lines[..2], ["65534", "65534"]);
    assert_eq!(lines[2], "65534 65533");
    assert_eq!(lines[3..7], ["0027", &home, "65534 700", "NoNewPrivs:\t1"]);
    if rig.spawner.capabilities().processes == Mechanism::Rlimit {
        let words: Vec<&str> = lines[7].split_whitespace().collect();
        assert_eq!(words[2..4], ["5000", "5000"], "{}", lines[7]);
    }

    if let Some(run_as) = &mut order.spec.run_as {
        run_as.uid = 65533;
    }
    let error = rig.spawner.start(&order, &Steps::silent()).await;
    let error = error.expect_err("the home is someone else's");
    assert!(
        error.to_string().contains("belongs to uid 65534"),
        "{error}"
    );
    if let Some(run_as) = &mut order.spec.run_as {
        run_as.uid = 0;
    }
    let error = rig.spawner.start(&order, &Steps::silent()).await;
    assert!(matches!(error, Err(SpawnError::RunAs { .. })), "{error:?}");
}

#[tokio::test]
async fn an_account_that_may_not_write_its_home_is_told() {
    use std::os::unix::fs::PermissionsExt;

    if !rustix::process::geteuid().is_root() {
        let rig = Rig::new();
        let home = rig.dir.path().join("homes/ada");
        std::fs::create_dir(&home).expect("made");
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o500)).expect("set");
        let error = rig.spawner.start(&shell("true"), &Steps::silent()).await;
        assert!(
            matches!(error, Err(SpawnError::HomeNotWritable { .. })),
            "{error:?}"
        );
        return;
    }
    let rig = Rig::new();
    let mut order = shell("true");
    order.spec.run_as = Some(nobody());
    let home = rig.dir.path().join("homes/ada");
    std::fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).expect("given");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o500)).expect("set");
    let error = rig.spawner.start(&order, &Steps::silent()).await;
    let words = error.expect_err("not writable").to_string();
    assert!(
        words.contains("homes/ada cannot be written by nobody"),
        "{words}"
    );
}
