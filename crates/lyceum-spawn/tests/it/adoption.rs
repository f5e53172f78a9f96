//! What a hub that was killed finds again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lyceum_spawn::{Spawner, Started, Status, Steps};

use crate::rig::{LIMIT, Rig, SERVER, is_alive, kill, python, shell, wait_until_dead};

#[tokio::test]
async fn a_restarted_hub_adopts_what_runs() {
    let rig = Rig::new();
    let order = python(SERVER);
    let started = rig.start(&order).await;
    rig.wait_ready(&order, &started, LIMIT)
        .await
        .expect("ready");
    let child = rig.child_pid(&order);

    let second = rig.restarted();
    assert_eq!(second.list().await, Ok(vec![order.key.clone()]));
    let again = second
        .start(&order, &Steps::silent())
        .await
        .expect("adopted");
    let address = started.address;
    assert_eq!(
        again,
        Started {
            address,
            adopted: true
        }
    );
    assert_eq!(rig.child_pid(&order), child);
    second.stop(&order.key).await.expect("it stops");
    assert!(!is_alive(child));
}

#[tokio::test]
async fn concurrent_starts_give_one_process() {
    let rig = Rig::new();
    let order = shell("echo $$ >> ../starts; exec sleep 60");
    let others: Vec<_> = (0..4).map(|_| rig.restarted()).collect();
    let silent = Steps::silent();
    let (a, b, c, d, e) = tokio::join!(
        rig.spawner.start(&order, &silent),
        others[0].start(&order, &silent),
        others[1].start(&order, &silent),
        others[2].start(&order, &silent),
        others[3].start(&order, &silent),
    );
    let all = [a, b, c, d, e].map(|started| started.expect("started or adopted"));
    let fresh = all.iter().filter(|started| !started.adopted).count();
    assert_eq!(fresh, 1, "{all:?}");
    assert!(all.iter().all(|started| started.address == all[0].address));
    rig.spawner.stop(&order.key).await.expect("it stops");
    let starts = std::fs::read_to_string(rig.dir.path().join("homes/starts"));
    assert!(starts.unwrap_or_default().lines().count() <= 1);
}

#[tokio::test]
async fn a_dropped_start_leaves_nothing_that_stop_does_not_find() {
    let rig = Rig::new();
    let order = shell("exec sleep 60");
    for polls in 0..12 {
        let silent = Steps::silent();
        let mut start = rig.spawner.start(&order, &silent);
        // Let it come some way, then drop it.
        for _ in 0..polls {
            let ready = futures_poll(&mut start).await;
            if ready {
                break;
            }
        }
        drop(start);
        rig.spawner.stop(&order.key).await.expect("it stops");
        assert_eq!(rig.spawner.list().await, Ok(vec![]), "after {polls} polls");
    }
}

/// Polls once, then lets everyone else run for a moment.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    let once = std::future::poll_fn(|context| {
        let ready = std::pin::Pin::new(&mut *future).poll(context).is_ready();
        std::task::Poll::Ready(ready)
    });
    let ready = once.await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    ready
}

#[tokio::test]
async fn half_an_order_starts_nothing() {
    let rig = Rig::new();
    let order = shell("true");
    let folder = rig.run_folder(&order);
    std::fs::create_dir_all(&folder).expect("a folder");
    for half in ["", "{\"key\":\"ada-1\",\"run\":\"r\",\"address\":\"http"] {
        let mut keeper = Command::new(env!("CARGO_BIN_EXE_spawn-test-shim"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a keeper");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(line, "locked\n");
        let mut stdin = keeper.stdin.take().expect("piped");
        stdin.write_all(half.as_bytes()).expect("taken");
        drop(stdin);
        let output = keeper.wait_with_output().expect("it ends");
        assert!(!output.status.success());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("nothing was started"), "{words}");
        assert_eq!(rig.spawner.poll(&order.key).await, Ok(Status::Gone));
        assert!(!folder.join("state").exists());
    }
}

#[tokio::test]
async fn a_hub_killed_at_any_moment_of_a_start_leaves_one_server_or_none() {
    const SCRIPT: &str = "echo $$ >> ../starts; exec sleep 600";
    let (mut adopted, mut fresh) = (0, 0);
    for millis in [0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 50, 100] {
        let rig = Rig::new();
        let mut hub = Command::new(env!("CARGO_BIN_EXE_spawn-test-shim"))
            .args(["hub", rig.dir.path().to_str().expect("UTF-8"), SCRIPT])
            .spawn()
            .expect("a hub");
        // The moment of the kill is the input here; every moment must be fine.
        tokio::time::sleep(Duration::from_millis(millis)).await;
        hub.kill().expect("killed");
        hub.wait().expect("waited for");

        let order = shell(SCRIPT);
        let started = rig.start(&order).await;
        *(if started.adopted {
            &mut adopted
        } else {
            &mut fresh
        }) += 1;
        let child = rig.child_pid(&order);
        let starts = rig.dir.path().join("homes/starts");
        let pids = || -> Vec<i32> {
            let text = std::fs::read_to_string(&starts).unwrap_or_default();
            let pids = text.lines().map(|pid| pid.parse().expect("a number"));
            pids.collect()
        };
        let deadline = Instant::now() + LIMIT;
        while !pids().contains(&child) {
            assert!(Instant::now() < deadline, "the server never came up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let alive: Vec<i32> = pids().into_iter().filter(|pid| is_alive(*pid)).collect();
        assert_eq!(alive, [child], "after {millis} ms");
        rig.spawner.stop(&order.key).await.expect("it stops");
        assert!(!is_alive(child));
    }
    assert!(
        adopted > 0 && fresh > 0,
        "both cases were met: {adopted}, {fresh}"
    );
}

#[tokio::test]
async fn a_stop_goes_on_when_the_hub_is_gone() {
    let rig = Rig::new();
    let order = shell("trap '' INT TERM; echo up; while :; do sleep 1; done");
    rig.start(&order).await;
    rig.wait_for_line(&order, "up").await;
    let child = rig.child_pid(&order);
    let second = rig.restarted();
    let gone = tokio::time::timeout(Duration::from_millis(200), second.stop(&order.key)).await;
    assert!(gone.is_err(), "it is too stubborn for that");
    wait_until_dead(child).await;
    rig.wait_for_end(&order).await;
}

async fn a_killed_keeper_takes_everything_along(rig: Rig) {
    let order = shell(
        "setsid sh -c 'echo stray $$; exec sleep 600' & echo main $$; while :; do sleep 600; done",
    );
    rig.start(&order).await;
    rig.wait_for_line(&order, "main").await;
    let lines = rig.wait_for_line(&order, "stray").await;
    let stray = lines.iter().find_map(|line| line.strip_prefix("stray "));
    let stray: i32 = stray.expect("printed").parse().expect("a number");
    let child = rig.child_pid(&order);
    assert!(is_alive(stray) && is_alive(child));

    kill(rig.keeper_pid(&order));
    wait_until_dead(child).await;
    let status = rig.wait_for_end(&order).await;
    assert!(
        matches!(&status, Status::Exited { reason, .. } if reason.to_string().contains("kept it was killed")),
        "{status:?}"
    );
    assert!(!is_alive(stray), "looking at it swept the rest");
    assert_eq!(rig.spawner.list().await, Ok(vec![]));
    let again = rig.start(&order).await;
    assert!(!again.adopted);
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn a_killed_keeper_with_cgroups() {
    a_killed_keeper_takes_everything_along(Rig::new()).await;
}

#[tokio::test]
async fn a_killed_keeper_without_cgroups() {
    a_killed_keeper_takes_everything_along(Rig::without_cgroups()).await;
}
