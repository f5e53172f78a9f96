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
            let settings = hub.hub.settings();
            let in_force = users::InForce {
                grants: &settings.grants,
                admins: &configured,
                has_power_in_courses: false,
                posix: &Default::default(),
            };
            let user = users::admit(&mut tx, &identity, in_force, now).await;
            let user = user.expect("asked").expect("hers");
            assert!(user.admin, "{name}");
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

/// Each looks whether she still may, and then the other has taken it.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_dismiss_each_other_leave_one() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let hub = hub.with_admin("ada").await.with_admin("ben").await;
        let (ada, ben) = (hub.signed_in("ada").await, hub.signed_in("ben").await);
        for round in 0..12 {
            let (taken, given) = match round % 2 {
                0 => ("no-admin", "admin"),
                _ => ("block", "unblock"),
            };
            ada.get("/hub/home").await;
            ben.get("/hub/home").await;
            let fields = [("do", taken)];
            let (one, other) = tokio::join!(
                ada.post_form("/hub/admin/user/ben", &fields),
                ben.post_form("/hub/admin/user/ada", &fields),
            );
            let mut tx = hub.hub.db().read().await.expect("a database");
            let left = lyceum_hub::db::users::admins(&mut tx).await;
            let left: Vec<_> = (left.expect("a list").into_iter())
                .filter(|user| user.blocked_at.is_none())
                .collect();
            drop(tx);
            let [left] = left.as_slice() else {
                panic!(
                    "{taken}: {} and {}, left: {left:?}",
                    one.status, other.status
                );
            };
            let (who, whom) = match left.name.as_str() {
                "ada" => (&ada, "ben"),
                _ => (&ben, "ada"),
            };
            let back = format!("/hub/admin/user/{whom}");
            who.post_form(&back, &[("do", given)]).await.expect(302);
        }
        hub.stop().await;
    }
}
