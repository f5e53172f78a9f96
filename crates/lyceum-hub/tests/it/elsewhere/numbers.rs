//! Numbers by which people's files are theirs: told by a provider, given out of a range, said by an administrator.

use lyceum_auth::addresses;
use lyceum_auth::claims::Numbers;
use lyceum_hub::audit::Doer;
use lyceum_hub::db::users::User;
use lyceum_hub::posix::{self, NotHers, Rules, Wish};
use lyceum_hub::users;
use lyceum_model::identity::Subject;
use lyceum_model::posix::Posix;

use super::*;

async fn telling(db: &TestDb, provider: &FakeProvider) -> TestHub {
    let hub = offering(db, provider, |config| {
        config.mapping.numbers = Numbers {
            uid: Some("uidNumber".into()),
            gid: Some("gidNumber".into()),
            group: None,
            gids: Some("gids".into()),
        };
    });
    hub.await.with_admin("root").await
}

async fn come(hub: &TestHub, provider: &FakeProvider, sub: &str, name: &str, numbers: Value) {
    let mut person = person(sub, name);
    let told = numbers.as_object().expect("an object").clone();
    person.as_object_mut().expect("an object").extend(told);
    provider.log_in(person);
    log_in(hub, provider).await.1.expect(302);
}

async fn row(hub: &TestHub, name: &str) -> User {
    let mut tx = hub.hub.db().read().await.expect("a database");
    let name = UserName::parse(name).expect("a name");
    let user = db::users::find(&mut tx, &name).await.expect("read");
    user.expect("there")
}

async fn hers(hub: &TestHub, name: &str) -> Option<Posix> {
    let user = row(hub, name).await;
    let mut tx = hub.hub.db().read().await.expect("a database");
    let known = db::posix::of(&mut tx, &user.id).await.expect("read");
    known.map(|known| known.posix)
}

async fn uid(hub: &TestHub, name: &str) -> Option<u32> {
    hers(hub, name).await.map(|posix| posix.uid)
}

async fn stop(hub: &TestHub, name: &str) {
    let token = hub.token(name).await;
    let path = format!("/hub/api/users/{name}/server");
    hub.client().with_token(&token).delete(&path).await;
    crate::kit::settled(hub, name).await;
}

async fn delete(hub: &TestHub, name: &str) {
    let user = row(hub, name).await;
    let mut tx = hub.hub.db().write().await.expect("a database");
    users::remove(&mut tx, &user, hub.hub.now())
        .await
        .expect("removed");
    tx.commit().await.expect("kept");
}

async fn say(hub: &TestHub, name: &str, wish: Wish) -> Result<Posix, NotHers> {
    let user = row(hub, name).await;
    let mut tx = hub.hub.db().write().await.expect("a database");
    let doer = Doer::nobody();
    let rules = Rules::default();
    let by = (&doer, Some("command_line"));
    let said = posix::set(&mut tx, &user, &wish, by, &rules, hub.hub.now()).await;
    match said {
        Ok(_) => tx.commit().await.expect("kept"),
        Err(_) => tx.rollback().await.expect("left"),
    }
    said
}

async fn noted(hub: &TestHub, what: &str) -> Vec<(String, String)> {
    let root = crate::kit::program(hub, "root").await;
    let list = "/hub/api/lyceum/audit?kind=people&limit=100";
    let items = root.get(list).await.expect(200).json()["items"].clone();
    let rows = items.as_array().expect("a list").iter();
    let rows = rows.filter(|row| row["what"] == what);
    let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
    rows.map(|row| (word(&row["about"]), word(&row["detail"]["uid"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uid_is_one_persons_for_ever() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = telling(&db, &provider).await;
        let told = json!({"uidNumber": 1234, "gidNumber": "1000", "gids": [6000, 0, 5000, "x", 7]});
        come(&hub, &provider, "1", "ada", told).await;
        let first = Posix {
            uid: 1234,
            gid: Some(1000),
            group: None,
            gids: vec![5000, 6000],
        };
        assert_eq!(hers(&hub, "ada").await.as_ref(), Some(&first));
        crate::kit::start_server(&hub, "ada").await;
        let orders = hub.spawner.orders();
        let order = orders.last().expect("one");
        assert_eq!(order.spec.posix.as_ref(), Some(&first));

        // Another one is told of her: her files are the first one's, and so are its groups.
        let told = json!({"uidNumber": 2000, "gidNumber": 1001, "gids": []});
        come(&hub, &provider, "1", "ada", told).await;
        assert_eq!(hers(&hub, "ada").await.as_ref(), Some(&first));
        // Of her own number they follow, and none is an answer, too.
        let told = json!({"uidNumber": 1234, "gidNumber": 1001, "gids": [100, 999]});
        come(&hub, &provider, "1", "ada", told).await;
        let second = Posix {
            gid: Some(1001),
            gids: vec![100],
            ..first.clone()
        };
        assert_eq!(hers(&hub, "ada").await, Some(second));
        for told in [
            json!({"uidNumber": 1234, "gids": []}),
            json!({"uidNumber": 1234, "gidNumber": 999}),
        ] {
            come(&hub, &provider, "1", "ada", told).await;
            let third = Posix {
                gid: None,
                gids: Vec::new(),
                ..first.clone()
            };
            assert_eq!(hers(&hub, "ada").await, Some(third));
        }

        // Nobody else gets it, whoever says so; she comes in without.
        come(&hub, &provider, "2", "ben", json!({"uidNumber": 1234})).await;
        assert_eq!(uid(&hub, "ben").await, None);
        assert_eq!(
            noted(&hub, "posix_refused").await,
            [("ben".to_owned(), "1234".to_owned())]
        );
        // Nor once she is gone.
        stop(&hub, "ada").await;
        delete(&hub, "ada").await;
        come(&hub, &provider, "3", "cem", json!({"uidNumber": 1234})).await;
        assert_eq!(uid(&hub, "cem").await, None);
        let wish = |uid| Wish {
            uid: Some(uid),
            ..Wish::default()
        };
        let said = say(&hub, "ben", wish(1234)).await;
        assert!(matches!(said, Err(NotHers::Taken { uid: 1234, .. })));
        // Back by her mark, she has it again, under whatever name.
        come(&hub, &provider, "1", "countess", json!({"uidNumber": 1234})).await;
        assert_eq!(uid(&hub, "countess").await, Some(1234));

        // Numbers of the system are nobody's.
        for (sub, name, low) in [("4", "dan", 0), ("5", "eva", 999), ("6", "fay", 65_534)] {
            come(&hub, &provider, sub, name, json!({"uidNumber": low})).await;
            assert_eq!(uid(&hub, name).await, None, "{low}");
            let said = say(&hub, name, wish(low)).await;
            assert!(matches!(said, Err(NotHers::Low { .. })), "{low}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_says_stays() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = telling(&db, &provider).await;
        come(&hub, &provider, "1", "ada", json!({"uidNumber": 1234})).await;
        come(&hub, &provider, "2", "ben", json!({"uidNumber": 1235})).await;
        let wish = Wish {
            uid: Some(1300),
            gid: Some(100),
            group: Some("staff".into()),
            gids: Some(vec![5000]),
        };
        let said = say(&hub, "ada", wish).await.expect("said");
        assert_eq!((said.uid, said.gid), (1300, Some(100)));
        let told = json!({"uidNumber": 1234, "gidNumber": 1000, "gids": [6000]});
        come(&hub, &provider, "1", "ada", told).await;
        assert_eq!(hers(&hub, "ada").await, Some(said));
        // What she had before is nobody else's, and may be hers again.
        let back = |uid| Wish {
            uid: Some(uid),
            ..Wish::default()
        };
        for taken in [1234, 1300] {
            let said = say(&hub, "ben", back(taken)).await;
            assert!(matches!(said, Err(NotHers::Taken { .. })), "{taken}");
        }
        assert_eq!(uid(&hub, "ben").await, Some(1235));
        say(&hub, "ada", back(1234)).await.expect("hers before");
        // Those of the system are worth root.
        for low in [0, 999] {
            let groups = Wish {
                gids: Some(vec![5000, low]),
                ..Wish::default()
            };
            let said = say(&hub, "ada", groups).await;
            let is_low = matches!(said, Err(NotHers::Low { number, .. }) if number == low);
            assert!(is_low, "{low}: {said:?}");
        }
        assert_eq!(hers(&hub, "ada").await.expect("hers").gids, [5000]);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_whom_nobody_tells_one_have_the_next_of_a_range() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("cem").await.with_user("dan").await;
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.posix = Rules {
            uids: Some((20_000, 20_002)),
            gid: Some(100),
            ..Rules::default()
        };
        hub.hub.reload(settings).await;
        let start = async |name: &str| {
            crate::kit::start_server(&hub, name).await;
            let orders = hub.spawner.orders();
            let order = orders
                .iter()
                .rev()
                .find(|order| order.hub.user.as_str() == name);
            let posix = order.expect("one").spec.posix.clone().expect("numbers");
            assert_eq!(posix.gid, Some(100));
            posix.uid
        };
        assert_eq!(start("ada").await, 20_000);
        // One in the midst of it is somebody's by an administrator's word.
        let wish = Wish {
            uid: Some(20_001),
            ..Wish::default()
        };
        say(&hub, "ben", wish).await.expect("said");
        stop(&hub, "ada").await;
        assert_eq!(start("ada").await, 20_000, "the same at each start");
        stop(&hub, "ada").await;
        delete(&hub, "ada").await;
        assert_eq!(start("cem").await, 20_002, "none is given twice");
        let token = hub.token("dan").await;
        let refused = hub.client().with_token(&token);
        let refused = refused
            .post_json("/hub/api/users/dan/server", &json!({}))
            .await
            .expect(403);
        assert!(refused.text().contains("No number"), "{}", refused.text());
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_nobody_are_left_out_of_a_range() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("cem").await;
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.posix = Rules {
            uids: Some((65_533, 65_536)),
            ..Rules::default()
        };
        hub.hub.reload(settings).await;
        for (name, given) in [("ada", 65_533), ("ben", 65_536)] {
            crate::kit::start_server(&hub, name).await;
            assert_eq!(uid(&hub, name).await, Some(given));
        }
        let token = hub.token("cem").await;
        let cem = hub.client().with_token(&token);
        let refused = cem
            .post_json("/hub/api/users/cem/server", &json!({}))
            .await
            .expect(403);
        assert!(refused.text().contains("No number"), "{}", refused.text());
        hub.stop().await;
    }
}

fn only(uid: u32) -> Wish {
    Wish {
        uid: Some(uid),
        ..Wish::default()
    }
}

/// Her account is deleted, and she comes again by the mark that it had.
async fn come_back(hub: &TestHub, provider: &FakeProvider, sub: &str, name: &str, told: Value) {
    delete(hub, name).await;
    come(hub, provider, sub, name, told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_by_her_mark_has_her_number_again_whoever_gave_it() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = telling(&db, &provider).await;
        let ranged = async |uids| {
            let mut settings = hub.hub.settings().as_ref().clone();
            settings.posix = Rules {
                uids,
                ..Rules::default()
            };
            hub.hub.reload(settings).await;
        };
        ranged(Some((20_000, 20_009))).await;
        // Out of the range.
        come(&hub, &provider, "1", "ada", json!({})).await;
        crate::kit::start_server(&hub, "ada").await;
        assert_eq!(uid(&hub, "ada").await, Some(20_000));
        stop(&hub, "ada").await;
        come_back(&hub, &provider, "1", "ada", json!({})).await;
        crate::kit::start_server(&hub, "ada").await;
        assert_eq!(uid(&hub, "ada").await, Some(20_000));

        // Said by an administrator, where there is no range.
        ranged(None).await;
        come(&hub, &provider, "2", "ben", json!({})).await;
        say(&hub, "ben", only(1300)).await.expect("said");
        come_back(&hub, &provider, "2", "ben", json!({})).await;
        crate::kit::start_server(&hub, "ben").await;
        assert_eq!(uid(&hub, "ben").await, Some(1300));

        // Said, and later told by the place; or said once more.
        come(&hub, &provider, "3", "cem", json!({})).await;
        say(&hub, "cem", only(1400)).await.expect("said");
        come_back(&hub, &provider, "3", "cem", json!({"uidNumber": 1400})).await;
        assert_eq!(uid(&hub, "cem").await, Some(1400));
        come_back(&hub, &provider, "3", "cem", json!({})).await;
        say(&hub, "cem", only(1400)).await.expect("hers before");

        // Two marks lead to her when it is said: the first that she comes by then brings her back.
        come(&hub, &provider, "4", "dan", json!({})).await;
        add_mark(&hub, "dan").await;
        say(&hub, "dan", only(1500)).await.expect("said");
        come(&hub, &provider, "4", "dan", json!({})).await;
        come_back(&hub, &provider, "4", "dan", json!({"uidNumber": 1500})).await;
        assert_eq!(uid(&hub, "dan").await, Some(1500));
        hub.stop().await;
    }
}

async fn add_mark(hub: &TestHub, name: &str) {
    let user = row(hub, name).await;
    let mut tx = hub.hub.db().write().await.expect("a database");
    let other = Subject {
        issuer: "https://other.example.edu".into(),
        id: name.into(),
    };
    let now = hub.hub.now();
    let added = db::identities::insert(&mut tx, &other, &user.id, now).await;
    assert!(added.expect("written"));
    tx.commit().await.expect("kept");
}

/// It was somebody else's who had come into her account by mistake: he does not get her files when she is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_is_taken_away_inherits_no_number() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = telling(&db, &provider).await;
        come(&hub, &provider, "1", "ada", json!({"uidNumber": 1234})).await;
        let user = row(&hub, "ada").await;
        let (now, settings) = (hub.hub.now(), hub.hub.settings());
        let subject = Subject {
            issuer: provider.issuer(),
            id: "1".into(),
        };
        let mut tx = hub.hub.db().write().await.expect("a database");
        users::forget_mark(&mut tx, &user, &subject, &settings.grants, now)
            .await
            .expect("forgotten");
        tx.commit().await.expect("kept");
        delete(&hub, "ada").await;
        come(&hub, &provider, "1", "ben", json!({"uidNumber": 1234})).await;
        assert_eq!(uid(&hub, "ben").await, None);
        let said = say(&hub, "ben", only(1234)).await;
        assert!(matches!(said, Err(NotHers::Taken { uid: 1234, .. })));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_told_for_certain_is_hers_until_somebody_gives_her_another() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |config| {
            config.mapping.mail = Some("email".into());
        })
        .await;
        let address = async || {
            let mut tx = hub.hub.db().read().await.expect("a database");
            let name = UserName::parse("ada").expect("a name");
            let known = addresses::find(&mut tx, &name).await.expect("read");
            known.map(|known| known.address)
        };
        let told = |mail: &str, verified: bool| json!({"email": mail, "email_verified": verified});
        come(&hub, &provider, "1", "ada", told("a@example.edu", false)).await;
        assert_eq!(address().await, None);
        come(&hub, &provider, "1", "ada", told("Ada@example.edu", true)).await;
        assert_eq!(address().await.as_deref(), Some("ada@example.edu"));
        come(&hub, &provider, "1", "ada", told("king@example.edu", true)).await;
        assert_eq!(address().await.as_deref(), Some("king@example.edu"));
        let mut tx = hub.hub.db().write().await.expect("a database");
        let name = UserName::parse("ada").expect("a name");
        let own = addresses::MailAddress::parse("own@example.org").expect("good");
        let put = addresses::put(&mut tx, &name, &own, "root", None).await;
        put.expect("written");
        tx.commit().await.expect("kept");
        come(&hub, &provider, "1", "ada", told("ada@example.edu", true)).await;
        assert_eq!(address().await.as_deref(), Some("own@example.org"));
        hub.stop().await;
    }
}
