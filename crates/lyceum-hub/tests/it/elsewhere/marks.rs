//! A mark that was given to the wrong person is taken away again.

use lyceum_hub::users;
use lyceum_model::identity::Subject;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_is_taken_away_leads_nowhere() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |config| {
            config.mapping.admins = Some(in_group("it"));
        })
        .await;
        let said = json!({"sub": "1", "preferred_username": "ada", "groups": ["it", "staff"]});
        provider.log_in(said);
        let (ada, answer) = log_in(&hub, &provider).await;
        answer.expect(302);
        let before = user_of(&ada).await;
        assert_eq!(
            (&before["admin"], &before["groups"]),
            (&json!(true), &json!(["it", "staff"]))
        );

        let subject = Subject {
            issuer: provider.issuer(),
            id: "1".into(),
        };
        let (now, settings) = (hub.hub.now(), hub.hub.settings());
        let mut tx = hub.hub.db().write().await.expect("a database");
        let marks = db::identities::list(&mut tx, None, 10)
            .await
            .expect("a list");
        let [mark] = marks.as_slice() else {
            panic!("{marks:?}");
        };
        assert_eq!((mark.user.as_str(), mark.subject.as_str()), ("ada", "1"));
        let name = UserName::parse("ada").expect("a name");
        let user = db::users::find(&mut tx, &name)
            .await
            .expect("asked")
            .expect("there");
        users::forget_mark(&mut tx, &user, &subject, &settings.grants, now)
            .await
            .expect("forgotten");
        tx.commit().await.expect("kept");

        assert!(is_out(&ada).await, "what she was signed in with has ended");
        let mut tx = hub.hub.db().read().await.expect("a database");
        let user = db::users::find(&mut tx, &name)
            .await
            .expect("asked")
            .expect("there");
        assert!(!user.admin);
        let groups = db::groups::names_of(&mut tx, &user.id)
            .await
            .expect("a list");
        assert!(groups.is_empty(), "{groups:?}");
        assert!(
            db::identities::list(&mut tx, Some(&user.id), 10)
                .await
                .expect("a list")
                .is_empty()
        );
        drop(tx);
        // The account is one that nothing leads to now; its name alone opens nothing.
        let (again, answer) = log_in(&hub, &provider).await;
        answer.expect(403);
        assert!(is_out(&again).await);
        hub.stop().await;
    }
}
