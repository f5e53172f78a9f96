//! All doors but the password of an account here, each opened, tried again and missed; with the secrets that go
//! through them.

use lyceum_auth::config::SignUp;
use lyceum_auth::header::{HeaderConfig, Proof};
use lyceum_model::secret::Secret;
use lyceum_testkit::fake::provider::CLIENT_SECRET;
use lyceum_testkit::fake::{FakePlatform, FakeProvider, Slip, Twist};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::slapd::READER_PASSWORD;
use lyceum_testkit::{Client, Slapd, Smtp, TestDb, TestHub};
use lyceum_web::cookie;

use crate::kit::query_value;
use crate::{elsewhere, header, ldap, lti, shares};

pub(super) type Secrets = Vec<(&'static str, String)>;

const NEW: &str = "lantern orbit gravel";
const JOURNEY: &str = "lyceum-sign-in";

/// A link is looked at, its form sent back, filled in, and looked at when it is used up; the answer to the form
/// that is good is a page.
async fn use_link(client: &Client, path: &str, key: &'static str, secret: &str, name: &str) {
    let show = format!("{path}?{key}={secret}");
    client.get(&show).await.expect(200);
    if path != "/hub/mail" {
        let short = [
            (key, secret),
            ("name", name),
            ("new", "short"),
            ("again", "x"),
        ];
        client.post_form(path, &short).await.expect(400);
    }
    let good = [(key, secret), ("name", name), ("new", NEW), ("again", NEW)];
    client.post_form(path, &good).await.expect(200);
    client.get(&show).await.expect(404);
    client.post_form(path, &good).await.expect(404);
}

fn in_page(page: &str, before: &str) -> String {
    let (_, rest) = page.split_once(before).expect("a link");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Links that administrators hand over, and those that letters bring.
pub(super) async fn links(secrets: &mut Secrets) {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let hub = hub.with_user("ada").await;
    let smtp = Smtp::start().await;
    hub.send_mail_by(smtp.config()).await;
    hub.sign_up(SignUp::Invitation);
    let root = hub.signed_in("root").await;
    let stranger = hub.client();
    let mut came = async |what, path, key, secret: String, name| {
        use_link(&stranger, path, key, &secret, name).await;
        secrets.push((what, secret));
    };
    let invite = [("do", "make"), ("note", "x"), ("groups", "")];
    let page = root.post_form("/hub/admin/users/invite", &invite).await;
    let secret = in_page(&page.expect(200).text(), "/hub/sign-up?invitation=");
    came(
        "an invitation",
        "/hub/sign-up",
        "invitation",
        secret,
        "grete",
    )
    .await;
    let ada = hub.signed_in("ada").await;
    let fields = [("address", "ada@example.edu"), ("old", PASSWORD)];
    ada.post_form("/hub/password/mail", &fields).await;
    let secret = smtp.letter(1).await.secret("link");
    came(
        "the link that proves an address",
        "/hub/mail",
        "link",
        secret,
        "",
    )
    .await;
    let page = root
        .post_form("/hub/admin/user/ada", &[("do", "password-link")])
        .await;
    let secret = in_page(&page.expect(200).text(), "/hub/new-password?link=");
    came(
        "a link to a password",
        "/hub/new-password",
        "link",
        secret,
        "",
    )
    .await;
    let forgot = [("who", "ada@example.edu")];
    stranger.get("/hub/forgotten").await.expect(200);
    stranger
        .post_form("/hub/forgotten", &forgot)
        .await
        .expect(200);
    // With the new password came a word about it.
    let mut number = 2;
    let secret = loop {
        let letter = smtp.letter(number).await;
        match letter.text.contains("link=") {
            true => break letter.secret("link"),
            false => number += 1,
        }
    };
    came("a mailed link", "/hub/new-password", "link", secret, "").await;
    hub.sign_up(SignUp::Domains(vec!["example.edu".into()]));
    stranger.get("/hub/sign-up").await.expect(200);
    let asks = [("address", "hans@example.edu")];
    stranger.post_form("/hub/sign-up", &asks).await.expect(200);
    let secret = loop {
        number += 1;
        let letter = smtp.letter(number).await;
        if letter.text.contains("mail=") {
            break letter.secret("mail");
        }
    };
    came(
        "a mailed link to an account",
        "/hub/sign-up",
        "mail",
        secret,
        "hans",
    )
    .await;
    hub.stop().await;
    secrets.push(("a new password", NEW.into()));
}

/// Providers, and learning platforms.
pub(super) async fn providers(secrets: &mut Secrets) {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(true);
    let hub = elsewhere::offering(&db, &provider, |_| {}).await;
    for twist in [
        None,
        Some(Twist::Tampered),
        Some(Twist::Html),
        Some(Twist::NoWithYes),
    ] {
        provider.twist(twist);
        let client = hub.client();
        let query = elsewhere::go_out(&client, &provider, "/hub/oauth_login").await;
        elsewhere::come_back(&client, &query).await;
        // Taken already, or too late.
        let state = query_value(&format!("/?{query}"), "state").expect("a state");
        let cookie = client.cookie(JOURNEY).expect("a cookie");
        let again = hub.client();
        again.plant(JOURNEY, &cookie, "/hub/");
        elsewhere::come_back(&again, &query).await.expect(403);
        secrets.extend([("a way back", state), ("who left", cookie)]);
        if let Some(session) = client.cookie(cookie::LOGIN) {
            secrets.push(("a session of elsewhere", session));
        }
    }
    let given = provider.refresh_tokens();
    assert!(!given.is_empty());
    secrets.extend(given.into_iter().map(|token| ("a refresh token", token)));
    secrets.push(("the client's secret", CLIENT_SECRET.into()));
    hub.stop().await;

    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = lti::offering(&db, &platform, |_| {}).await;
    for slip in [
        None,
        Some(Slip::Tampered),
        Some(Slip::ForeignKey),
        Some(Slip::Unsigned),
    ] {
        platform.slip(slip);
        let client = hub.client();
        let form = lti::leave(&hub, &client, &platform, "/").await;
        // Without the browser's cookie, with it, and once more.
        lti::post(&hub.client(), lti::LAUNCH, &form)
            .await
            .expect(200);
        lti::post(&client, lti::LAUNCH, &form).await;
        let thief = hub.client();
        thief.plant(JOURNEY, &client.cookie(JOURNEY).expect("a cookie"), "/hub/");
        lti::post(&thief, lti::LAUNCH, &form).await.expect(403);
        for (name, value) in form {
            let what = ["state", "id_token"].into_iter().find(|what| *what == name);
            secrets.extend(what.map(|what| (what, value)));
        }
    }
    hub.stop().await;
}

/// A directory, a proxy in front, and codes for a share.
pub(super) async fn others(secrets: &mut Secrets) {
    let db = TestDb::sqlite().await;
    let slapd = Slapd::start().await;
    slapd.add_person("ada", ldap::HERS).await;
    let hub = ldap::asking(&db, slapd.url()).await;
    let wrong = "a wrong word for the directory";
    hub.client().log_in("ada", wrong).await.expect(403);
    hub.client().log_in("ada", ldap::HERS).await.expect(302);
    drop(slapd);
    hub.client().log_in("ada", ldap::HERS).await.expect(503);
    hub.stop().await;
    secrets.extend([
        ("a password of the directory", ldap::HERS.to_owned()),
        ("a wrong one", wrong.to_owned()),
        ("the reader's password", READER_PASSWORD.to_owned()),
    ]);

    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let proof = "what the proxy in front proves itself with";
    let config = HeaderConfig {
        proof: Some(Proof {
            header: "x-proof".into(),
            secret: Secret::new(proof),
        }),
        ..header::config("127.0.0.1/32")
    };
    hub.believe(config, false);
    for (given, status) in [(proof, 302), ("guessed by somebody", 403)] {
        let client = hub.client().with_header("x-proof", given);
        let came = header::as_user(&client, "/hub/login/header", "ada").await;
        came.expect(status);
        secrets.push(("the word of a proxy in front", given.into()));
    }
    hub.stop().await;

    let db = TestDb::sqlite().await;
    let hub = shares::sharing(&db).await;
    let ada = crate::kit::program(&hub, "ada").await;
    let (code, _) = shares::code(&ada).await;
    let ben = hub.signed_in("ben").await;
    shares::accept(&ben, &code).await.expect(302);
    ben.get(&format!("/hub/accept-share?code={code}x")).await;
    secrets.push(("a code for a share", code));
    hub.stop().await;
}
