//! The good way: start, answer, stop, forget.

use lyceum_spawn::{PortOwner, Spawner, Status, Steps};

use crate::rig::{LIMIT, Rig, SERVER, TOKEN, is_alive, python, shell};

#[tokio::test]
async fn starts_answers_stops_and_is_forgotten() {
    let rig = Rig::new();
    let order = python(SERVER);
    let (steps, mut news) = Steps::channel(16);
    let started = rig.spawner.start(&order, &steps).await.expect("it starts");
    assert!(!started.adopted);
    assert!(
        news.recv()
            .await
            .is_some_and(|step| !step.message.to_string().is_empty())
    );
    rig.wait_ready(&order, &started, LIMIT)
        .await
        .expect("ready");

    let key = &order.key;
    let address = started.address.clone();
    let port = PortOwner::Server;
    let running = Status::Running { address, port };
    assert_eq!(rig.spawner.poll(key).await, Ok(running));
    assert_eq!(rig.spawner.list().await, Ok(vec![key.clone()]));
    let usage = rig.spawner.usage(key).await.expect("known").expect("runs");
    assert!(usage.memory > 1 << 20, "{usage:?}");
    assert!(
        usage.processes >= 1 && usage.cpu_seconds >= 0.0,
        "{usage:?}"
    );
    assert!(rig.spawner.forget(key).await.is_err(), "it still runs");

    let child = rig.child_pid(&order);
    rig.spawner.stop(key).await.expect("it stops");
    assert!(!is_alive(child));
    let status = rig.spawner.poll(key).await.expect("known");
    assert!(
        matches!(&status, Status::Exited { reason, .. } if reason.to_string() == "stopped as asked"),
        "{status:?}"
    );
    assert_eq!(rig.spawner.list().await, Ok(vec![]));
    assert_eq!(rig.spawner.usage(key).await, Ok(None));

    rig.spawner.forget(key).await.expect("forgotten");
    assert_eq!(rig.spawner.poll(key).await, Ok(Status::Gone));
    assert!(!rig.run_folder(&order).exists());
    rig.spawner.forget(key).await.expect("twice is fine");
    rig.spawner
        .stop(key)
        .await
        .expect("nothing to stop is fine");
}

#[tokio::test]
async fn secrets_are_neither_on_disk_nor_on_command_lines() {
    let rig = Rig::new();
    // No `exec` after the line: in its middle a process shows no command line at all.
    let order = shell("echo up; while :; do sleep 60; done");
    rig.start(&order).await;
    rig.wait_for_line(&order, "up").await;
    for entry in std::fs::read_dir(rig.run_folder(&order)).expect("readable") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(!text.contains(TOKEN), "{}", path.display());
    }
    for pid in [rig.keeper_pid(&order), rig.child_pid(&order)] {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
        assert!(!line.is_empty() && !line.contains(TOKEN), "{line}");
    }
    let keeper = rig.keeper_pid(&order);
    let env = std::fs::read_to_string(format!("/proc/{keeper}/environ")).expect("it runs");
    assert_eq!(env, "", "the keeper needs no environment");
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn a_second_start_has_a_fresh_log_and_another_port() {
    let rig = Rig::new();
    let order = shell("echo $JUPYTERHUB_SERVICE_URL");
    let first = rig.start(&order).await;
    rig.wait_for_end(&order).await;
    let second = rig.start(&order).await;
    rig.wait_for_end(&order).await;
    assert_ne!(first.address, second.address);
    let lines = rig
        .spawner
        .log_tail(&order.key, 10)
        .await
        .expect("readable");
    assert_eq!(lines, [format!("{}/user/ada/", second.address)]);
}
