//! A provider tells that somebody has logged out there: her browsers here are logged out too, and nothing
//! else ends for a message that it did not send.

use super::*;

const TOLD: &str = "/hub/oauth_backchannel";

async fn tell(hub: &TestHub, path: &str, message: &str) -> Answer {
    let provider = hub.client();
    provider.post_form(path, &[("logout_token", message)]).await
}

/// A browser in which she is logged in, with this session there.
async fn comes(hub: &TestHub, provider: &FakeProvider, session: &str) -> Client {
    provider.as_usual();
    provider.replace("sid", json!(session));
    let (client, answer) = log_in(hub, provider).await;
    answer.expect(302);
    provider.as_usual();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_with_a_session_there_ends_with_it() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {}).await;
        let one = comes(&hub, &provider, "one").await;
        let two = comes(&hub, &provider, "two").await;
        provider.log_in(person("2", "eve"));
        let eve = comes(&hub, &provider, "eve's").await;
        let message = provider.log_out_message(&json!({"sub": "1", "sid": "one"}));
        let answer = tell(&hub, TOLD, &message).await.expect(200);
        assert_eq!(header(&answer, "cache-control"), "no-store");
        assert!(is_out(&one).await);
        assert!(!is_out(&two).await && !is_out(&eve).await);
        // The same message says nothing new, however often it comes.
        provider.log_in(person("1", "ada"));
        let one = comes(&hub, &provider, "one").await;
        tell(&hub, TOLD, &message).await.expect(200);
        assert!(!is_out(&one).await);
        let by_session = provider.log_out_message(&json!({"sid": "one", "jti": "2"}));
        tell(&hub, TOLD, &by_session).await.expect(200);
        assert!(is_out(&one).await && !is_out(&two).await);
        // Somebody else's session under her mark is nobody's.
        let mixed = provider.log_out_message(&json!({"sub": "1", "sid": "eve's", "jti": "3"}));
        tell(&hub, TOLD, &mixed).await.expect(200);
        assert!(!is_out(&two).await && !is_out(&eve).await);
        // Some call her otherwise in these messages than in their tokens.
        let one = comes(&hub, &provider, "one").await;
        let other = provider.log_out_message(&json!({"sub": "unhashed", "sid": "one", "jti": "5"}));
        tell(&hub, TOLD, &other).await.expect(200);
        assert!(is_out(&one).await && !is_out(&two).await);
        let one = comes(&hub, &provider, "one").await;
        let all = provider.log_out_message(&json!({"sub": "1", "jti": "4", "exp": null}));
        tell(&hub, TOLD, &all).await.expect(200);
        assert!(is_out(&one).await && is_out(&two).await && !is_out(&eve).await);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_it_did_not_send_ends_nothing() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let ada = comes(&hub, &provider, "one").await;
    let check = async |what: &str, message: &str| {
        let answer = tell(&hub, TOLD, message).await.expect(400);
        assert_eq!(answer.json(), json!({"error": "invalid_request"}), "{what}");
    };
    let about = json!({"sub": "1", "sid": "one"});
    for twist in [
        Twist::Unsigned,
        Twist::SignedWithSecret,
        Twist::ForeignKey,
        Twist::Tampered,
    ] {
        provider.twist(Some(twist));
        check(&format!("{twist:?}"), &provider.log_out_message(&about)).await;
    }
    provider.as_usual();
    for claims in [
        json!({"sub": "1", "iss": "https://evil.example"}),
        json!({"sub": "1", "aud": "another client"}),
        json!({"sub": "1", "azp": "another client"}),
        json!({"sub": "1", "events": null}),
        json!({"sub": "1", "events": {"other": {}}}),
        json!({"sub": "1", "nonce": "x"}),
        json!({"sub": "1", "jti": null}),
        json!({"sub": "1", "jti": 7}),
        json!({"sub": "1", "iat": null}),
        json!({"sub": "1", "iat": 9_999_999_999_i64}),
        json!({"sub": "1", "iat": 1_000, "exp": null}),
        json!({"sub": "1", "exp": 1_000}),
        json!({}),
        json!({"sub": 1}),
        json!({"sub": "1", "sid": ""}),
        json!({"sub": "1", "sid": ["one"]}),
    ] {
        check(&claims.to_string(), &provider.log_out_message(&claims)).await;
    }
    check("nothing", "").await;
    check("no token", "a.b.c").await;
    let good = provider.log_out_message(&about);
    let client = hub.client();
    let twice = [("logout_token", good.as_str()), ("logout_token", &good)];
    client.post_form(TOLD, &twice).await.expect(400);
    client
        .post_form(TOLD, &[("token", &good)])
        .await
        .expect(400);
    tell(&hub, "/hub/oauth_backchannel/staff", &good)
        .await
        .expect(400);
    provider.twist(Some(Twist::Away)).rotate();
    let new = provider.log_out_message(&json!({"sub": "1", "jti": "new"}));
    // It is not known whether it is one: the provider asks again.
    let answer = tell(&hub, TOLD, &new).await;
    assert!(
        [400, 503].contains(&answer.status.as_u16()),
        "{}",
        answer.status
    );
    provider.as_usual();
    assert!(!is_out(&ada).await);
    tell(&hub, TOLD, &good).await.expect(200);
    assert!(is_out(&ada).await);
    hub.stop().await;
}
