//! Stopping, also what does not want to.

use std::time::{Duration, Instant};

use lyceum_spawn::{Spawner, Status};

use crate::rig::{LIMIT, Rig, is_alive, python, shell};

#[tokio::test]
async fn a_polite_server_gets_its_interrupt() {
    let rig = Rig::new();
    let order = python(
        "import os, signal, sys, time\n\
         def bye(*a):\n    os.write(1, b'bye\\n'); os._exit(0)\n\
         signal.signal(signal.SIGINT, bye)\n\
         print('up', flush=True)\n\
         while True: time.sleep(60)",
    );
    rig.start(&order).await;
    rig.wait_for_line(&order, "up").await;
    rig.spawner.stop(&order.key).await.expect("it stops");
    let lines = rig.spawner.log_tail(&order.key, 5).await.expect("readable");
    assert_eq!(lines, ["up", "bye"]);
    let status = rig.spawner.poll(&order.key).await.expect("known");
    assert!(
        matches!(status, Status::Exited { code: Some(0), .. }),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_stubborn_server_is_killed() {
    let rig = Rig::new();
    let order = shell("trap '' INT TERM; echo up; while :; do sleep 1; done");
    rig.start(&order).await;
    rig.wait_for_line(&order, "up").await;
    let child = rig.child_pid(&order);
    let before = Instant::now();
    rig.spawner.stop(&order.key).await.expect("it stops");
    assert!(
        before.elapsed() >= Duration::from_secs(1),
        "both pauses were kept"
    );
    assert!(before.elapsed() < LIMIT);
    assert!(!is_alive(child));
    let status = rig.spawner.poll(&order.key).await.expect("known");
    assert!(
        matches!(
            status,
            Status::Exited {
                signal: Some(9),
                ..
            }
        ),
        "{status:?}"
    );
}

const STRAYS: &str = "
import os, sys, time
for depth in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.environ.clear()
            print('stray', os.getpid(), flush=True)
            while True: time.sleep(60)
        os._exit(0)
time.sleep(float(sys.argv[1]))
";

async fn strays(rig: &Rig, order: &lyceum_spawn::StartOrder) -> Vec<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let lines = rig.wait_for_line(order, "stray").await;
        let pids = lines.iter().filter_map(|line| line.strip_prefix("stray "));
        let pids: Vec<i32> = pids.map(|pid| pid.parse().expect("a number")).collect();
        if pids.len() == 3 {
            return pids;
        }
        assert!(Instant::now() < deadline, "only {pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_escapes_a_stop() {
    for rig in [Rig::new(), Rig::without_cgroups()] {
        let mut order = python(STRAYS);
        order.spec.command.push("600".into());
        rig.start(&order).await;
        let pids = strays(&rig, &order).await;
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        rig.spawner.stop(&order.key).await.expect("it stops");
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
    }
}

#[tokio::test]
async fn nothing_stays_when_the_server_ends_by_itself() {
    let rig = Rig::without_cgroups();
    let mut order = python(STRAYS);
    order.spec.command.push("1".into());
    rig.start(&order).await;
    let pids = strays(&rig, &order).await;
    rig.wait_for_end(&order).await;
    rig.spawner.stop(&order.key).await.expect("the rest ends");
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn a_flood_is_bounded_and_its_end_is_kept() {
    let rig = Rig::new();
    let order = python(
        "import sys\n\
         for n in range(300000): print('line', n, 'x' * 50)\n\
         print('y' * 100000)\n\
         print('the end', flush=True)",
    );
    rig.start(&order).await;
    rig.wait_for_end(&order).await;
    rig.spawner.stop(&order.key).await.expect("all is written");
    let lines = rig.spawner.log_tail(&order.key, 3).await.expect("readable");
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("line 299999 xxx"), "{}", lines[0]);
    assert!(lines[1].len() < 9000 && lines[1].ends_with("[...]"));
    assert_eq!(lines[2], "the end");
    for name in ["log", "log.old"] {
        let file = rig.run_folder(&order).join(name);
        assert!(file.metadata().expect("there").len() <= 1 << 20);
    }
    let all = rig
        .spawner
        .log_tail(&order.key, usize::MAX)
        .await
        .expect("readable");
    assert!(all.len() < 40_000);
}
