//! Providers behind which others stand, and what each of them may say: CVE-2024-37300 (Globus), CVE-2022-31027
//! (CILogon), CVE-2026-33175 (Auth0), CVE-2024-29033 (Google). And sessions that were there before a log-in.

use lyceum_web::cookie;

use super::*;

const OURS: &str = "https://login.example.edu/idp";

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_right_provider_behind_it_says_lets_in() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |config| {
        config.mapping.username = NameFrom::parse("claim:email").expect("a good one");
        config.mapping.allow = Some(Rule {
            domains: Some(["example.edu".to_owned()].into()),
            claims: [("idp".to_owned(), [OURS.to_owned()].into())].into(),
            ..Rule::default()
        });
    })
    .await;
    let good =
        || json!({"sub": "1", "idp": OURS, "email": "ada@example.edu", "email_verified": true});
    let check = async |claim: &str, value: Value, status: u16| {
        let mut said = good();
        said[claim] = value.clone();
        provider.log_in(said);
        let (client, answer) = log_in(&hub, &provider).await;
        assert_eq!(answer.status, status, "{claim} {value}: {}", answer.text());
        assert_eq!(is_out(&client).await, status != 302, "{claim} {value}");
    };
    // Somebody else's provider, which says that she is of our domain.
    for idp in [
        Value::Null,
        json!(""),
        json!("https://login.evil.example/idp"),
        json!("https://login.example.edu/idp/"),
        json!("https://login.example.edu/idp2"),
        json!("https://login.example.edu"),
        json!("https://LOGIN.example.edu/idp"),
        json!("https://login.example.edu/idp https://login.evil.example/idp"),
        json!({"id": OURS}),
        json!([[OURS]]),
        json!("example.edu"),
    ] {
        check("idp", idp, 403).await;
    }
    // An address that nobody has looked at, or that only looks like one of ours.
    for verified in [
        Value::Null,
        json!(false),
        json!("false"),
        json!(1),
        json!([true]),
    ] {
        check("email_verified", verified, 403).await;
    }
    for mail in [
        "ada@example.edu.evil.example",
        "ada@evil-example.edu",
        "ada@sub.example.edu",
        "ada@evil.example@example.edu",
        "\"ada@example.edu\"@evil.example",
        "ada@ex\u{430}mple.edu",
        "@example.edu",
    ] {
        check("email", json!(mail), 403).await;
    }
    // Where a domain is said by itself it counts, whatever the address says.
    check("hd", json!("evil.example"), 403).await;
    check("hd", json!("example.edu"), 302).await;
    check("idp", json!(OURS), 302).await;
    hub.stop().await;
}

/// Session fixation: what stood in the browser before is not what she has afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_planted_before_is_not_hers() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {})
            .await
            .with_user("eve")
            .await;
        let eve = hub.signed_in("eve").await;
        let of_eve = eve.cookie(cookie::LOGIN).expect("a session");
        for planted in ["planted", &of_eve] {
            let ada = hub.client();
            let query = go_out(&ada, &provider, "/hub/oauth_login").await;
            ada.plant(cookie::LOGIN, planted, "/hub/");
            ada.plant(cookie::ACCESS, planted, "/");
            come_back(&ada, &query).await;
            let hers = ada.cookie(cookie::LOGIN).expect("a session");
            let whoever_planted = hub.client();
            whoever_planted.plant(cookie::LOGIN, planted, "/hub/");
            let is_ada = async |client: &Client| {
                let user = client.get("/hub/api/user").await;
                user.status == 200 && user.json()["name"] == "ada"
            };
            assert!(!is_ada(&whoever_planted).await, "{planted}");
            // And she works in a session of her own, not in that of somebody else.
            assert_ne!(hers, planted);
            assert!(is_ada(&ada).await, "{planted}");
        }
        hub.stop().await;
    }
}
