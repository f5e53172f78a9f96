//! The OAuth provider, asked the way `jupyterhub-singleuser` asks.

use futures_util::future::join_all;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::server::HubEnv;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};

use crate::grants::{granting, service};
use crate::kit::{
    assert_german, form_token, header, in_german, post_plain, program, query_value, quoted,
    start_server,
};

// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What is sent otherwise, and the status and error that come back.
type Refusal<'a> = (Vec<(&'a str, &'a str)>, u16, &'a str);

fn callback(env: &HubEnv) -> String {
    format!("{}oauth_callback", env.prefix)
}

/// The address a server sends its visitor to.
fn authorize(env: &HubEnv, pkce: bool) -> String {
    let pkce = if pkce {
        format!("&code_challenge={CHALLENGE}&code_challenge_method=S256")
    } else {
        String::new()
    };
    format!(
        "/hub/api/oauth2/authorize?client_id={}&redirect_uri={}&response_type=code&state=a%20state{pkce}",
        quoted(&env.client_id),
        quoted(&callback(env)),
    )
}

fn code_of(answer: &Answer, env: &HubEnv) -> String {
    let location = answer.location();
    // The client leaves out below which path all stands; the server was told it.
    let path = location.split('?').next().unwrap_or_default();
    let is_callback = path.ends_with("/oauth_callback") && callback(env).ends_with(path);
    assert!(is_callback, "{location}");
    assert_eq!(
        query_value(location, "state").as_deref(),
        Some("a state"),
        "{location}"
    );
    query_value(location, "code").unwrap_or_else(|| panic!("no code: {location}"))
}

async fn code(visitor: &Client, env: &HubEnv, pkce: bool) -> String {
    code_of(&visitor.get(&authorize(env, pkce)).await.expect(302), env)
}

/// The server's side: changes the code for a token, with some fields other than they should be.
async fn change(hub: &TestHub, env: &HubEnv, code: &str, other: &[(&str, &str)]) -> Answer {
    let redirect = callback(env);
    let mut fields = vec![
        ("client_id", env.client_id.as_str()),
        ("client_secret", env.api_token.expose()),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect.as_str()),
    ];
    fields.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
    fields.extend_from_slice(other);
    post_plain(&hub.client(), "/hub/api/oauth2/token", &fields).await
}

/// The whole flow: what a notebook server holds after this visitor came by.
pub(crate) async fn token(hub: &TestHub, visitor: &Client, env: &HubEnv) -> String {
    let code = code(visitor, env, true).await;
    let answer = change(hub, env, &code, &[("code_verifier", VERIFIER)]).await;
    let token = answer.expect(200).json()["access_token"].clone();
    token.as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_server_learns_who_came() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        assert_eq!(env.client_id, "jupyterhub-user-ada");
        assert_eq!(
            env.access_scopes,
            ["access:servers!server=ada/", "access:servers!user=ada"]
        );
        let ada = hub.signed_in("ada").await;
        let code = code(&ada, &env, true).await;
        let answer = change(&hub, &env, &code, &[("code_verifier", VERIFIER)])
            .await
            .expect(200);
        assert_eq!(header(&answer, "cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body["expires_in"], 1_209_600);
        assert_eq!(body["token_type"], "Bearer");
        assert!(body.get("refresh_token").is_none());
        let scopes = body["scope"].as_str().expect("scopes");
        assert!(scopes.contains("access:servers!server=ada/"), "{scopes}");

        let token = body["access_token"].as_str().expect("a token");
        let server = hub.client().with_token(token);
        let who = server.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["name"], "ada");
        assert_eq!(who["kind"], "user");
        assert_eq!(who["admin"], false);
        assert_eq!(who["groups"], serde_json::json!([]));
        assert_eq!(
            who["session_id"].as_str(),
            ada.cookie("jupyterhub-session-id").as_deref()
        );
        let listed: Vec<&str> = who["scopes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|scope| scope.as_str())
            .collect();
        assert!(
            env.access_scopes
                .iter()
                .any(|s| listed.contains(&s.as_str())),
            "{listed:?}"
        );
        assert!(listed.is_sorted(), "{listed:?}");
        // It knows who she is, and may do nothing in her name.
        assert!(who.get("servers").is_none(), "{who}");
        server.get("/hub/api/users/ada/tokens").await.expect(403);
        server.delete("/hub/api/users/ada/server").await.expect(403);
        let seen = server.get("/hub/api/users/ada").await.expect(200).json();
        let fields: Vec<&String> = seen.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["admin", "groups", "kind", "name", "user_info"]);

        // The server's own token reports activity, and opens nothing else.
        let own = hub.client().with_token(env.api_token.expose());
        let who = own.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["name"], "ada");
        own.get("/hub/api/users/ada/tokens").await.expect(403);
        own.post_json("/hub/api/users/ada/tokens", &serde_json::json!({}))
            .await
            .expect(403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_before_pkce_are_let_in() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let env = start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let good = code(&ada, &env, false).await;
    change(&hub, &env, &good, &[]).await.expect(200);
    // A verifier for a code without a challenge: somebody took a step out (RFC 9700 section 2.1.1).
    let downgraded = code(&ada, &env, false).await;
    change(&hub, &env, &downgraded, &[("code_verifier", VERIFIER)])
        .await
        .expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_code_is_said_as_the_rfc_has_it() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let env = start_server(&hub, "ada").await;
    let eves = start_server(&hub, "eve").await;
    let ada = hub.signed_in("ada").await;
    let verifier = ("code_verifier", VERIFIER);
    let long = "x".repeat(129);
    let eves_callback = callback(&eves);
    let secret = env.api_token.expose().to_owned();
    let nobodys = hub.token("ada").await;
    let cases: Vec<Refusal<'_>> = vec![
        (vec![], 400, "invalid_grant"),
        (vec![("code_verifier", "")], 400, "invalid_grant"),
        (vec![("code_verifier", "short")], 400, "invalid_grant"),
        (vec![("code_verifier", CHALLENGE)], 400, "invalid_grant"),
        (vec![("code_verifier", &long)], 400, "invalid_grant"),
        (vec![verifier, ("redirect_uri", "")], 400, "invalid_grant"),
        (
            vec![verifier, ("redirect_uri", &eves_callback)],
            400,
            "invalid_grant",
        ),
        (
            vec![verifier, ("client_secret", "wrong")],
            401,
            "invalid_client",
        ),
        (vec![verifier, ("client_secret", "")], 401, "invalid_client"),
        (
            vec![verifier, ("client_secret", &nobodys)],
            401,
            "invalid_client",
        ),
        (
            vec![verifier, ("client_secret", eves.api_token.expose())],
            401,
            "invalid_client",
        ),
        (vec![verifier, ("client_id", "")], 401, "invalid_client"),
        (
            vec![
                verifier,
                ("client_id", &eves.client_id),
                ("client_secret", &secret),
            ],
            401,
            "invalid_client",
        ),
        (
            vec![
                verifier,
                ("client_id", &eves.client_id),
                ("client_secret", eves.api_token.expose()),
            ],
            400,
            "invalid_grant",
        ),
        (
            vec![verifier, ("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        (
            vec![verifier, ("grant_type", "refresh_token")],
            400,
            "unsupported_grant_type",
        ),
    ];
    for (other, status, error) in cases {
        let code = code(&ada, &env, true).await;
        let answer = change(&hub, &env, &code, &other).await.expect(status);
        assert_eq!(answer.json()["error"], error, "{other:?}");
        assert_eq!(header(&answer, "cache-control"), "no-store");
    }
    change(&hub, &env, "no such code", &[verifier])
        .await
        .expect(400);
    let no_form = hub
        .client()
        .post_json("/hub/api/oauth2/token", &serde_json::json!({}))
        .await
        .expect(400);
    assert_eq!(no_form.json()["error"], "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let code = code(&ada, &env, true).await;
        let at_once = (0..8).map(|_| change(&hub, &env, &code, &[("code_verifier", VERIFIER)]));
        let answers = join_all(at_once).await;
        let good = answers
            .iter()
            .filter(|answer| answer.status.as_u16() == 200)
            .count();
        assert_eq!(good, 1);
        for answer in answers.iter().filter(|a| a.status.as_u16() != 200) {
            assert_eq!(answer.status.as_u16(), 400, "{}", answer.text());
            assert_eq!(answer.json()["error"], "invalid_grant");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_lives_five_minutes() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone())
        .await
        .with_user("ada")
        .await;
    let env = start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let in_time = code(&ada, &env, true).await;
    clock.advance(299_000);
    change(&hub, &env, &in_time, &[("code_verifier", VERIFIER)])
        .await
        .expect(200);
    let late = code(&ada, &env, true).await;
    clock.advance(301_000);
    change(&hub, &env, &late, &[("code_verifier", VERIFIER)])
        .await
        .expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_with_its_session() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone())
        .await
        .with_user("ada")
        .await;
    let env = start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let elsewhere = hub.signed_in("ada").await;
    let ended = code(&elsewhere, &env, true).await;
    elsewhere.post_form("/hub/logout", &[]).await.expect(302);
    change(&hub, &env, &ended, &[("code_verifier", VERIFIER)])
        .await
        .expect(400);
    // A fortnight passes; the last code is younger than its session is old.
    clock.advance(14 * 24 * 3_600_000 - 60_000);
    let last = code(&ada, &env, true).await;
    clock.advance(120_000);
    change(&hub, &env, &last, &[("code_verifier", VERIFIER)])
        .await
        .expect(400);
    ada.get("/hub/home").await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let env = start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let ask = |client: &str, redirect: &str, rest: &str| {
        format!(
            "/hub/api/oauth2/authorize?client_id={}&redirect_uri={}{rest}",
            quoted(client),
            quoted(redirect)
        )
    };
    let good = callback(&env);
    for (client, redirect) in [
        ("jupyterhub-user-nobody", good.as_str()),
        ("", &good),
        (&env.client_id, ""),
        (
            &env.client_id,
            "http://evil.example/user/ada/oauth_callback",
        ),
        (&env.client_id, "//evil.example/user/ada/oauth_callback"),
        (&env.client_id, "/user/ada/oauth_callback/../../eve/"),
        (&env.client_id, "/user/ada/oauth_callback?x=1"),
        (&env.client_id, "/user/ada/oauth_callback#x"),
        (&env.client_id, "/USER/ada/oauth_callback"),
        (&env.client_id, "/user/eve/oauth_callback"),
    ] {
        let answer = ada
            .get(&ask(client, redirect, "&response_type=code&state=s"))
            .await
            .expect(400);
        assert_eq!(answer.location(), "", "{client} {redirect}");
    }
    // With the host in front it is the same address.
    let whole = format!("http://{}{good}", hub.address());
    let answer = ada
        .get(&ask(&env.client_id, &whole, "&response_type=code&state=s"))
        .await
        .expect(302);
    assert!(answer.location().starts_with(&format!("{whole}?code=")));

    for (rest, error) in [
        ("&response_type=token&state=s", "unsupported_response_type"),
        ("&state=s", "invalid_request"),
        (
            "&response_type=code&state=s&code_challenge=x&code_challenge_method=plain",
            "invalid_request",
        ),
        (
            "&response_type=code&state=s&code_challenge=x",
            "invalid_request",
        ),
    ] {
        let answer = ada.get(&ask(&env.client_id, &good, rest)).await.expect(302);
        let location = answer.location();
        assert!(location.starts_with(&format!("{good}?")), "{location}");
        assert_eq!(query_value(location, "error").as_deref(), Some(error));
        assert_eq!(query_value(location, "state").as_deref(), Some("s"));
        assert!(query_value(location, "code").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_log_in_first_and_others_are_refused() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let env = start_server(&hub, "ada").await;
    let wanted = authorize(&env, true);
    let answer = hub.client().get(&wanted).await.expect(302);
    assert_eq!(
        answer.location(),
        format!("/hub/login?next={}", quoted(&wanted))
    );
    let eve = hub.signed_in("eve").await;
    eve.get(&wanted).await.expect(403);
    let xsrf = eve.cookie("_xsrf").expect("a form token");
    post_plain(&eve, &wanted, &[("_xsrf", &xsrf)])
        .await
        .expect(403);
    // A token is no browser.
    program(&hub, "ada").await.get(&wanted).await.expect(403);
}

/// By names, in the reader's language: a title is its owner's to write, who may mean harm.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_is_told_in_words_who_asks() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        service(grants, "grades", |made| {
            made.url = Some("http://127.0.0.1:9".into());
        });
    })
    .await;
    let ada = program(&hub, "ada").await;
    let titled = serde_json::json!({ "display_name": "Backup of the hub" });
    ada.post_json("/hub/api/users/ada/servers/gpu", &titled)
        .await
        .expect(201);
    start_server(&hub, "ada").await;
    let ask = |client: &str, back: &str| {
        let (client, back) = (quoted(client), quoted(back));
        format!(
            "/hub/api/oauth2/authorize?response_type=code&client_id={client}&redirect_uri={back}"
        )
    };
    let (root, german) = (
        hub.signed_in("root").await,
        in_german(hub.signed_in("root").await),
    );
    for (client, path, en, de) in [
        (
            "jupyterhub-user-ada",
            "/user/ada/",
            "The server of ada",
            "Der Server von ada",
        ),
        (
            "jupyterhub-user-ada-gpu",
            "/user/ada/gpu/",
            "The server gpu of ada",
            "Der Server gpu von ada",
        ),
        (
            "service-grades",
            "/services/grades/",
            "The service grades",
            "Der Dienst grades",
        ),
    ] {
        let ask = ask(client, &format!("{path}oauth_callback"));
        let page = root.get(&ask).await.expect(200).text();
        for has in [
            format!("<title>{en} asks for your permission"),
            format!("<h1>{en} asks for your permission</h1>"),
            format!("{en} wants to act for you"),
            format!("<code>{path}</code>"),
        ] {
            assert!(page.contains(&has), "{has}: {page}");
        }
        assert!(!page.contains("Backup"), "{page}");
        let page = german.get(&ask).await.expect(200).text();
        let heading = format!("<h1>{de} bittet um Ihre Erlaubnis</h1>");
        assert!(page.contains(&heading), "{page}");
        assert_german(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_confirms_before_a_students_server_learns_who_she_is() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let env = start_server(&hub, "ada").await;
    let root = hub.signed_in("root").await;
    let wanted = authorize(&env, true);
    let page = root.get(&wanted).await.expect(200).text();
    let heading = "<h1>The server of ada asks for your permission</h1>";
    assert!(page.contains(heading), "{page}");
    assert!(page.contains("<code>/user/ada/</code>"), "{page}");
    // Saying yes takes the form, not a link.
    post_plain(&root, &wanted, &[]).await.expect(403);
    let answer = post_plain(&root, &wanted, &[("_xsrf", &form_token(&page))])
        .await
        .expect(302);
    let code = code_of(&answer, &env);
    let token = change(&hub, &env, &code, &[("code_verifier", VERIFIER)])
        .await
        .expect(200)
        .json()["access_token"]
        .clone();
    // The student's server holds this token: it may not be good for anything of the administrator's.
    let held = hub.client().with_token(token.as_str().expect("a token"));
    let who = held.get("/hub/api/user").await.expect(200).json();
    assert_eq!(who["name"], "root");
    held.get("/hub/api/users/root/tokens").await.expect(403);
    held.get("/hub/api/users/ada/tokens").await.expect(403);
    held.get("/hub/metrics").await.expect(403);
    held.post_json("/hub/api/users/root/tokens", &serde_json::json!({}))
        .await
        .expect(403);
    held.post_json("/hub/api/users/ada/server", &serde_json::json!({}))
        .await
        .expect(403);
    held.get("/hub/api/users").await.expect(403);
    // Once given, it is not asked again, until she takes the token back.
    root.get(&wanted).await.expect(302);
    let own = program(&hub, "root").await;
    let tokens = own
        .get("/hub/api/users/root/tokens")
        .await
        .expect(200)
        .json();
    let id = tokens["api_tokens"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|token| token["oauth_client"] != "JupyterHub")
        .expect("one of the client")["id"]
        .as_str()
        .expect("an id");
    own.delete(&format!("/hub/api/users/root/tokens/{id}"))
        .await
        .expect(204);
    root.get(&wanted).await.expect(200);
    held.get("/hub/api/user").await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_tokens_and_codes_back() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let token = token(&hub, &ada, &env).await;
        let pending = code(&ada, &env, true).await;
        program(&hub, "ada")
            .await
            .delete("/hub/api/users/ada/server")
            .await
            .expect(204);
        for old in [token.as_str(), env.api_token.expose()] {
            let program = hub.client().with_token(old);
            program.get("/hub/api/user").await.expect(403);
        }
        let answer = change(&hub, &env, &pending, &[("code_verifier", VERIFIER)]).await;
        answer.expect(401);
        // The next start has a secret of its own, and old codes stay dead.
        let again = start_server(&hub, "ada").await;
        assert_ne!(again.api_token.expose(), env.api_token.expose());
        change(&hub, &again, &pending, &[("code_verifier", VERIFIER)])
            .await
            .expect(400);
        hub.stop().await;
    }
}
