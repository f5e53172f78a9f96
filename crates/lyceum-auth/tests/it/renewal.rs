//! What a provider that is asked about somebody once more may say, and what is made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::elsewhere::Return;
use lyceum_auth::oidc::OidcConfig;
use lyceum_auth::renewal::Renewed;
use lyceum_auth::{Elsewhere, Grant, Journeys, NotSaid, Oidc, Renewing};
use lyceum_model::clock::Clock;
use lyceum_model::identity::{Adopts, Identity};
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use lyceum_testkit::TestDb;
use lyceum_testkit::fake::provider::{CLIENT, CLIENT_SECRET};
use lyceum_testkit::fake::{FakeProvider, Twist};
use serde_json::json;

fn oidc(provider: &FakeProvider) -> Oidc {
    oidc_as(provider, CLIENT)
}

fn oidc_as(provider: &FakeProvider, client: &str) -> Oidc {
    let config = OidcConfig {
        id: String::new(),
        title: "University account".into(),
        automatic: false,
        issuer: provider.issuer(),
        client_id: client.into(),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        scopes: vec!["openid".into()],
        parameters: BTreeMap::new(),
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("claim:preferred_username").unwrap(),
            display_name: "name".into(),
            groups: None,
            groups_only: None,
            allow: Some(Rule {
                everyone: true,
                ..Rule::default()
            }),
            admins: None,
            adopts: Adopts::default(),
        },
        log_out_there: false,
        renewing: Some(Renewing {
            every: Duration::from_secs(300),
            grace: None,
        }),
        authorities: None,
    };
    Oidc::new(config, Clock::system()).unwrap()
}

/// Ada comes by it.
async fn arrive(oidc: &Oidc, provider: &FakeProvider) -> Option<Grant> {
    let db = TestDb::sqlite().await;
    let journeys = Journeys::new(Keys::from_bytes([5; 32]), db.db().clone(), Clock::system());
    let proofs = journeys.begin("", "a browser", "");
    let back = "https://hub.example.edu/hub/oauth_callback"
        .parse()
        .unwrap();
    let out = oidc.depart(&proofs, &back).await.unwrap();
    let answer = Return::parse(&provider.authorize(out.as_str())).unwrap();
    oidc.arrive(&proofs, &back, &answer).await.unwrap().grant
}

fn is_unclear(renewed: &Renewed<Identity>) -> bool {
    matches!(renewed.said, Err(NotSaid::Unclear(_)))
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_given() {
    let provider = FakeProvider::start().await;
    assert!(arrive(&oidc(&provider), &provider).await.is_none());
}

#[tokio::test]
async fn a_no_is_only_what_is_said_in_the_words_of_the_standard() {
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(true);
    let oidc = oidc(&provider);
    let mut grant = arrive(&oidc, &provider).await.unwrap();
    // Whether nobody can be asked about, or just she.
    for (twist, is_away) in [
        (Twist::Away, true),
        (Twist::Huge, true),
        (Twist::Overloaded, true),
        (Twist::UnknownClient, true),
        (Twist::Html, false),
        (Twist::Redirect, false),
        (Twist::NoWithYes, false),
        (Twist::Unsigned, false),
        (Twist::SignedWithSecret, false),
        (Twist::ForeignKey, false),
        (Twist::Tampered, false),
    ] {
        provider.twist(Some(twist));
        let renewed = oidc.renew(&grant).await;
        match is_away {
            true => assert!(
                matches!(renewed.said, Err(NotSaid::Away(_))),
                "{twist:?}: {renewed:?}"
            ),
            false => assert!(is_unclear(&renewed), "{twist:?}: {renewed:?}"),
        }
        let text = format!("{renewed:?}");
        for token in provider.refresh_tokens() {
            assert!(!text.contains(&token), "{twist:?}: {text}");
        }
        // What came with an answer that is not to be trusted is the only one that is good all the same.
        grant = renewed.grant.unwrap_or(grant);
    }
    provider.as_usual();
    let renewed = oidc.renew(&grant).await;
    let identity = renewed.said.unwrap().unwrap();
    assert_eq!(identity.name.as_str(), "ada");
    // The old one is good no more, and whoever comes with it ends them all.
    let new = renewed.grant.unwrap();
    let again = oidc.renew(&grant).await;
    assert!(matches!(again.said, Err(NotSaid::Ended)) && again.grant.is_none());
    assert!(matches!(oidc.renew(&new).await.said, Err(NotSaid::Ended)));
}

#[tokio::test]
async fn whom_the_provider_wants_to_see_first_is_out() {
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(true);
    let oidc = oidc(&provider);
    let grant = arrive(&oidc, &provider).await.unwrap();
    provider.twist(Some(Twist::WantsToSeeHer));
    let renewed = oidc.renew(&grant).await;
    assert!(
        matches!(renewed.said, Err(NotSaid::Ended)),
        "{:?}",
        renewed.said
    );
}

#[tokio::test]
async fn somebody_else_is_never_taken_for_her() {
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(false);
    let oidc = oidc(&provider);
    let grant = arrive(&oidc, &provider).await.unwrap();
    for (claim, value) in [
        ("sub", json!("2")),
        ("sub", json!(null)),
        ("iss", json!("https://evil.example")),
        ("aud", json!("another client")),
        ("azp", json!("another client")),
        ("nonce", json!("of another sign-in")),
        ("exp", json!(1_000)),
        ("iat", json!(9_999_999_999_i64)),
    ] {
        provider.as_usual();
        provider.replace(claim, value.clone());
        let renewed = oidc.renew(&grant).await;
        assert!(is_unclear(&renewed), "{claim} {value}: {renewed:?}");
    }
    // What she is called is known.
    for name in [json!(""), json!(null)] {
        provider.as_usual().replace("preferred_username", name);
        let identity = oidc.renew(&grant).await.said.unwrap().unwrap();
        assert_eq!(identity.name.as_str(), "ada");
    }
}

/// A token is shown to the provider that gave it, and to no other that has taken its place.
#[tokio::test]
async fn another_provider_never_sees_the_token() {
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(false);
    let grant = arrive(&oidc(&provider), &provider).await.unwrap();
    let other = FakeProvider::start().await;
    let renewed = oidc(&other).renew(&grant).await;
    assert!(matches!(renewed.said, Err(NotSaid::Unasked)));
    assert_eq!(other.times_refreshed(), 0);
    // Nor does the same one by another client, whose it is not.
    let renewed = oidc_as(&provider, "another").renew(&grant).await;
    assert!(matches!(renewed.said, Err(NotSaid::Unasked)));
    assert_eq!(provider.times_refreshed(), 0);
}
