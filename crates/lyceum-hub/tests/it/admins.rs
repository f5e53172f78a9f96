//! Administrators by the configuration, and by an administrator's word.

use std::collections::BTreeSet;

use lyceum_hub::users;
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_testkit::{TestDb, TestHub};

fn names(text: &str) -> BTreeSet<UserName> {
    text.split_whitespace()
        .map(|name| UserName::parse(name).expect("a good name"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_the_configuration_goes_with_it() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let configured = names("root ada ben eve");
        let now = hub.hub.now();
        let mut tx = hub.hub.db().write().await.expect("a database");
        for name in &configured {
            let mut identity = Identity::named(name.clone());
            identity.admin = Some(true);
            let user = users::admit(&mut tx, &identity, &configured, now).await;
            assert!(user.expect("admitted").admin, "{name}");
        }
        let name = UserName::parse("ben").expect("a good name");
        let ben = lyceum_hub::db::users::find(&mut tx, &name).await;
        let ben = ben.expect("looked up").expect("there");
        users::grant_admin(&mut tx, &ben, now)
            .await
            .expect("granted");
        tx.commit().await.expect("kept");

        let reload = async |admins: &str| {
            let mut settings = hub.hub.settings().as_ref().clone();
            settings.admission.admins = names(admins);
            hub.hub.reload(settings).await;
            let mut tx = hub.hub.db().read().await.expect("a database");
            let admins = lyceum_hub::db::users::admins(&mut tx).await;
            let admins = admins.expect("a list").into_iter();
            admins.map(|user| user.name).collect::<BTreeSet<_>>()
        };
        assert_eq!(reload("root ada ben eve").await, names("root ada ben eve"));
        assert_eq!(reload("eve").await, names("root ben eve"), "ada's went");
        assert_eq!(
            reload("eve ada").await,
            names("root ben eve"),
            "not before she signs in"
        );
        assert_eq!(reload("").await, names("root ben"), "granted roles stay");
        hub.stop().await;
    }
}
