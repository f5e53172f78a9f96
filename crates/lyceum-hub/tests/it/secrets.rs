//! No secret reaches a log, at the most talkative level.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::cookie;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::kit::{program, start_server};
use crate::pages::second_factor;
use crate::sittings;

mod doors;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_story_leaves_no_secret_in_the_log() {
    let log = Log::default();
    // For the whole process, since work goes on in threads of all kinds. Other stories write here
    // too; that only makes the net wider.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "debug,lyceum_hub=trace,lyceum_web=trace,lyceum_auth=trace,lyceum_proxy=trace,lyceum_store=trace,lyceum_spawn=trace",
        ))
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .try_init()
        .expect("no other story listens");
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("grace")
        .await;
    let typed_wrong = "a wrong pass phrase of hers";
    let client = hub.client();
    client.log_in("ada", typed_wrong).await.expect(403);
    client
        .log_in("nobody at all", typed_wrong)
        .await
        .expect(403);
    // Nobody writes lines of her own into the log, nor fills it.
    let forged = "a line that nobody of the hub wrote";
    let flood = format!("flood{}", "y".repeat(200_000));
    for name in [&format!("ada\r\n{forged}"), &flood] {
        hub.client().log_in(name, "x").await.expect(403);
    }
    let env = start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let mut secrets: doors::Secrets = vec![
        ("the password", PASSWORD.to_owned()),
        ("the wrong password", typed_wrong.to_owned()),
        ("the server's token", env.api_token.expose().to_owned()),
    ];
    for name in [cookie::LOGIN, cookie::ACCESS, cookie::XSRF] {
        secrets.push((name, ada.cookie(name).expect("a cookie")));
    }
    let token = crate::api::oauth_token(&hub, &ada, &env).await;
    hub.client()
        .with_token(&token)
        .get("/hub/api/user")
        .await
        .expect(200);
    secrets.push(("the OAuth token", token));
    let path = format!(
        "/hub/api/oauth2/authorize?client_id={}&redirect_uri={}oauth_callback&response_type=code",
        env.client_id, env.prefix
    );
    let answer = ada.get(&path).await.expect(302);
    let code = crate::kit::query_value(answer.location(), "code").expect("a code");
    // The browser brings the code to the server through the proxy.
    ada.get(&format!("/user/ada/oauth_callback?code={code}"))
        .await
        .expect(200);
    ada.get(&format!("/hub/no-such-page?code={code}"))
        .await
        .expect(404);
    secrets.push(("the code", code));
    let made = program(&hub, "grace")
        .await
        .post_json("/hub/api/users/grace/tokens", &json!({}))
        .await
        .expect(201)
        .json();
    let made = made["token"].as_str().expect("a secret").to_owned();
    for path in [
        format!("/hub/api/user?token={made}"),
        format!("/user/ada/lab?token={made}"),
    ] {
        hub.client().get(&path).await;
    }
    hub.client()
        .post_json(
            "/hub/api/users/ada/tokens",
            &json!({ "auth": { "username": "ada", "password": PASSWORD } }),
        )
        .await
        .expect(201);
    secrets.push(("a new token", made));
    let (key, codes) = second_factor::set_up(&ada, &hub.clock).await;
    let half_way = second_factor::half_way(&hub, "ada").await;
    let sealed = half_way.cookie(cookie::HALF_WAY).expect("half-way");
    second_factor::type_code(&half_way, &codes[0])
        .await
        .expect(302);
    for (what, secret) in [
        ("the app's key", key.text()),
        ("the app's key as one word", key.text().replace(' ', "")),
        ("a recovery code", codes[0].clone()),
        ("a recovery code as digits", codes[0].replace('-', "")),
        ("what is half-way", sealed),
    ] {
        secrets.push((what, secret));
    }
    let (_, sheets) = sittings::make(&hub.hub, sittings::wish(&hub.hub, "grace")).await;
    let code = sheets[0].code.shown();
    sittings::come_by(&hub.client(), &sheets[0])
        .await
        .expect(302);
    // Used up, and said so.
    sittings::come_by(&hub.client(), &sheets[0])
        .await
        .expect(403);
    secrets.push(("an exam's code as one word", code.replace('-', "")));
    secrets.push(("an exam's code", code));
    ada.get("/user/ada/lab").await.expect(200);
    ada.post_form("/hub/servers/stop", &[("user", "ada")])
        .await
        .expect(302);
    ada.post_form("/hub/logout", &[]).await.expect(302);
    hub.stop().await;
    doors::links(&mut secrets).await;
    doors::providers(&mut secrets).await;
    doors::others(&mut secrets).await;

    let log = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("signed in"), "the log holds the story");
    assert!(log.contains("/hub/no-such-page"), "the log holds requests");
    let by_link = "account made by an invitation";
    assert!(log.contains(by_link), "the log holds the other doors");
    assert!(!log.lines().any(|line| line.starts_with(forged)), "forged");
    let flooded = log.lines().find(|line| line.contains(&flood[..2_000]));
    assert!(flooded.is_none(), "a name of 200 kB is in the log");
    for (what, secret) in secrets {
        assert!(secret.len() > 8, "{what}");
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{what} is in the log: {line:?}");
    }
}
