//! Bad commands, bad homes, servers that end or never answer: each with words that help.

use std::time::Duration;

use lyceum_spawn::probe::Cause;
use lyceum_spawn::{SpawnError, Spawner, StartOrder, Status, Steps};

use crate::rig::{LIMIT, Rig, SERVER, order, python, shell};

async fn refused(rig: &Rig, order: &StartOrder) -> SpawnError {
    let error = rig.spawner.start(order, &Steps::silent()).await;
    let error = error.expect_err("it must not start");
    rig.spawner.stop(&order.key).await.expect("nothing to stop");
    assert_eq!(rig.spawner.poll(&order.key).await, Ok(Status::Gone));
    error
}

#[tokio::test]
async fn a_missing_command_is_named_with_the_path() {
    let rig = Rig::new();
    let mut order = order(&["jupyterhub-singleuser-nowhere"]);
    order.spec.path_first = vec!["/opt/nowhere/bin".into()];
    let words = refused(&rig, &order).await.to_string();
    assert!(words.contains("jupyterhub-singleuser-nowhere"), "{words}");
    assert!(words.contains("/opt/nowhere/bin:/usr/bin"), "{words}");
}

#[tokio::test]
async fn a_script_without_interpreter_or_permission_is_explained() {
    use std::os::unix::fs::PermissionsExt;

    let rig = Rig::new();
    let script = rig.dir.path().join("script");
    std::fs::write(&script, "#!/nowhere/python\n").expect("written");
    let order = order(&[script.to_str().expect("UTF-8")]);
    let set = |mode| std::fs::set_permissions(&script, PermissionsExt::from_mode(mode));
    set(0o644).expect("set");
    let words = refused(&rig, &order).await.to_string();
    assert!(words.contains("may not be executed"), "{words}");
    set(0o755).expect("set");
    let words = refused(&rig, &order).await.to_string();
    assert!(words.contains("interpreter"), "{words}");
}

#[tokio::test]
async fn bad_orders_are_refused_before_anything_starts() {
    let rig = Rig::new();
    let no_command = order(&[]);
    assert!(matches!(
        refused(&rig, &no_command).await,
        SpawnError::BadSpec(_)
    ));
    let mut bad_name = shell("true");
    bad_name.spec.env.insert("A=B".into(), "geheim".into());
    let error = refused(&rig, &bad_name).await;
    assert!(error.to_string().contains("A=B") && !error.to_string().contains("geheim"));
    let mut huge = shell("true");
    huge.spec.env.insert("HUGE".into(), "x".repeat(2 << 20));
    let error = refused(&rig, &huge).await;
    assert!(error.to_string().contains("1 MiB"), "{error}");
    let mut long = shell("true");
    long.spec.env.insert("LONG".into(), "x".repeat(500 << 10));
    let error = refused(&rig, &long).await;
    assert!(
        matches!(error, SpawnError::CommandNotRunnable { .. }),
        "{error}"
    );
    let mut bad_value = shell("true");
    bad_value.spec.env.insert("KEY".into(), "ge\0heim".into());
    let words = refused(&rig, &bad_value).await.to_string();
    assert!(words.contains("KEY") && !words.contains("heim"), "{words}");
}

#[tokio::test]
async fn evil_homes_are_refused() {
    let rig = Rig::new();
    let outside = tempfile::tempdir().expect("a folder");
    let homes = rig.dir.path().join("homes");
    std::os::unix::fs::symlink(outside.path(), homes.join("link")).expect("a link");
    for home in ["../out", "/etc", "", "a/../../b", "link", "link/deeper"] {
        let mut order = shell("true");
        order.spec.home = home.into();
        let error = refused(&rig, &order).await;
        assert!(
            matches!(error, SpawnError::BadHome { .. }),
            "{home:?}: {error}"
        );
    }
    assert_eq!(std::fs::read_dir(outside.path()).expect("there").count(), 0);
    assert!(!rig.dir.path().join("out").exists());
}

#[tokio::test]
async fn a_home_in_a_file_is_refused() {
    let rig = Rig::new();
    std::fs::write(rig.dir.path().join("homes/ada"), "a file").expect("written");
    let words = refused(&rig, &shell("true")).await.to_string();
    assert!(words.contains("not a folder"), "{words}");
}

#[tokio::test]
async fn a_full_disk_is_told_before_anything_is_started() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = lyceum_spawn::local::LocalConfig::new(
        vec!["/nowhere/lyceum".into()],
        dir.path().join("run"),
        dir.path().join("homes"),
    );
    // No disk has that much.
    config.least_room = u64::MAX;
    let spawner = lyceum_spawn::local::LocalSpawner::new(config).expect("a spawner");
    let error = spawner.start(&shell("true"), &Steps::silent()).await;
    let error = error.expect_err("no room");
    assert!(matches!(error, SpawnError::NoRoom { .. }), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("homes only ") && words.contains("make room"),
        "{words}"
    );
}

#[tokio::test]
async fn a_missing_keeper_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = lyceum_spawn::local::LocalConfig::new(
        vec!["/nowhere/lyceum".into()],
        dir.path().join("run"),
        dir.path().join("homes"),
    );
    let spawner = lyceum_spawn::local::LocalSpawner::new(config).expect("a spawner");
    let error = spawner.start(&shell("true"), &Steps::silent()).await;
    let words = error.expect_err("no keeper").to_string();
    assert!(words.contains("/nowhere/lyceum"), "{words}");
}

#[tokio::test]
async fn one_that_exits_at_once_shows_code_and_last_lines() {
    let rig = Rig::new();
    let order = shell("echo 'ImportError: no module named jupyter' >&2; exit 3");
    let started = rig.start(&order).await;
    let problem = rig.wait_ready(&order, &started, LIMIT).await;
    let problem = problem.expect_err("it exited");
    assert_eq!(problem.cause, Cause::Exited);
    assert!(
        problem.words.to_string().contains("code 3"),
        "{}",
        problem.words
    );
    assert_eq!(problem.log, ["ImportError: no module named jupyter"]);
    let status = rig.spawner.poll(&order.key).await.expect("known");
    assert!(matches!(
        status,
        Status::Exited {
            code: Some(3),
            signal: None,
            ..
        }
    ));
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    let rig = Rig::new();
    let order = shell("kill -11 $$");
    rig.start(&order).await;
    let status = rig.wait_for_end(&order).await;
    assert!(
        matches!(&status, Status::Exited { code: None, signal: Some(11), reason }
            if reason.to_string().contains("crashed")),
        "{status:?}"
    );
}

#[tokio::test]
async fn one_that_never_answers_is_not_waited_for_for_ever() {
    let rig = Rig::new();
    let order = shell("echo thinking; exec sleep 60");
    let started = rig.start(&order).await;
    rig.wait_for_line(&order, "thinking").await;
    let limit = Duration::from_millis(700);
    let problem = rig
        .wait_ready(&order, &started, limit)
        .await
        .expect_err("silent");
    assert_eq!(problem.cause, Cause::Silent);
    assert!(
        problem.words.to_string().contains("nothing listens there"),
        "{}",
        problem.words
    );
    assert_eq!(problem.log, ["thinking"]);
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn one_that_accepts_and_says_nothing_runs_into_the_limit() {
    let rig = Rig::new();
    let order = python(
        "import os, socket, time\n\
         from urllib.parse import urlparse\n\
         url = urlparse(os.environ['JUPYTERHUB_SERVICE_URL'])\n\
         s = socket.create_server((url.hostname, url.port)); print('up', flush=True)\n\
         time.sleep(60)",
    );
    let started = rig.start(&order).await;
    rig.wait_for_line(&order, "up").await;
    let limit = Duration::from_millis(700);
    let problem = rig
        .wait_ready(&order, &started, limit)
        .await
        .expect_err("silent");
    assert!(
        problem.words.to_string().contains("no answer within"),
        "{}",
        problem.words
    );
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn the_wrong_port_is_hinted_at() {
    let rig = Rig::new();
    let mut order = python(SERVER);
    order.spec.env.insert("PORT_OFFSET".into(), "1".into());
    let started = rig.start(&order).await;
    rig.wait_for_line(&order, "serving").await;
    let limit = Duration::from_millis(700);
    let problem = rig
        .wait_ready(&order, &started, limit)
        .await
        .expect_err("silent");
    assert!(
        problem
            .words
            .to_string()
            .contains("another port or address than JUPYTERHUB_SERVICE_URL"),
        "{}",
        problem.words
    );
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn only_server_errors_is_not_ready_and_a_refusal_is() {
    let rig = Rig::new();
    for (answer, ready) in [("502", false), ("403", true), ("302", true)] {
        let mut order = python(SERVER);
        order.spec.env.insert("ANSWER".into(), answer.into());
        let started = rig.start(&order).await;
        rig.wait_for_line(&order, "serving").await;
        let limit = if ready { LIMIT } else { Duration::from_secs(2) };
        match rig.wait_ready(&order, &started, limit).await {
            Ok(()) => assert!(ready, "{answer}"),
            Err(problem) => {
                assert!(!ready, "{answer}: {problem}");
                assert_eq!(problem.cause, Cause::ServerErrors);
                assert!(
                    problem.words.to_string().contains("HTTP 502"),
                    "{}",
                    problem.words
                );
            }
        }
        rig.spawner.stop(&order.key).await.expect("it stops");
    }
}
