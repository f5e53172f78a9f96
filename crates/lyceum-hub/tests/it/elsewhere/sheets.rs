//! Exams with codes on paper where people come from a provider that knows their names.

use super::*;
use crate::sittings::{come_by, make, wish};

#[tokio::test(flavor = "multi_thread")]
async fn no_mark_gets_a_numbered_account_of_an_exam() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        // Even where the provider's names are believed.
        let hub = offering(&db, &provider, |config| {
            config.mapping.adopts = Adopts {
                people: true,
                administrators: false,
            };
        })
        .await;
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "exam-bio-{1..2}")).await;
        let seat = hub.client();
        come_by(&seat, &sheets[1]).await.expect(302);
        for name in ["exam-bio-1", "exam-bio-2"] {
            provider.log_in(person("7", name));
            let (eve, answer) = log_in(&hub, &provider).await;
            answer.expect(403);
            assert!(is_out(&eve).await, "{name}");
        }
        // Nothing was made of it: the codes are for nobody's account.
        let first = hub.client();
        come_by(&first, &sheets[0]).await.expect(302);
        assert_eq!(user_of(&first).await["name"], "exam-bio-1");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_stands_in_nobodys_way_to_her_account() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {}).await;
        // For somebody who has not been here there is none: it would make an account that is not hers.
        let checked = wish(&hub.hub, "ada").check(hub.hub.now());
        let checked = checked.expect("good lines");
        let made = lyceum_hub::sittings::made_by(&hub.hub, &checked, crate::sittings::root()).await;
        let wrong = made.expect("a database").expect_err("nobody of that name");
        assert!(
            wrong.why.to_string().contains("log in once"),
            "{}",
            wrong.why
        );
        provider.log_in(person("1", "ada"));
        let (_, answer) = log_in(&hub, &provider).await;
        answer.expect(302);
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "ada")).await;
        let seat = hub.client();
        come_by(&seat, &sheets[0]).await.expect(302);
        assert_eq!(user_of(&seat).await["name"], "ada");
        let (again, answer) = log_in(&hub, &provider).await;
        answer.expect(302);
        assert_eq!(user_of(&again).await["name"], "ada");
        hub.stop().await;
    }
}
