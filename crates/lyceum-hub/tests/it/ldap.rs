//! Signing in by a directory, from the page to the home: who comes in as whom, and what is said when the
//! directory is away.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use lyceum_auth::claims::Rule;
use lyceum_auth::config::People;
use lyceum_auth::ldap::{Attributes, Groups, GroupsBy, LdapConfig, Reader, Template};
use lyceum_auth::{Authenticator, Ldap};
use lyceum_hub::second_factor::{Meant, Required};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::identity::Adopts;
use lyceum_model::secret::Secret;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::slapd::{GROUPS, PEOPLE, READER, READER_PASSWORD};
use lyceum_testkit::{Client, Slapd, TestDb, TestHub};
use serde_json::{Value, json};

use crate::pages::second_factor::{key_on, type_code};

pub(crate) const HERS: &str = "her password there";

fn directory(url: String) -> Arc<dyn Authenticator> {
    let groups = "(|(member={dn})(memberUid={username}))";
    let config = LdapConfig {
        id: String::new(),
        title: "University account".into(),
        servers: vec![url],
        start_tls: false,
        authorities: None,
        base: PEOPLE.into(),
        filter: Some(Template::people("(uid={username})").expect("a filter")),
        bind: Vec::new(),
        reader: Some(Reader {
            name: READER.into(),
            password: Secret::new(READER_PASSWORD),
        }),
        names: Attributes {
            username: "uid".into(),
            display_name: "cn".into(),
            mark: "entryUUID".into(),
            uid: None,
            gid: None,
            mail: None,
        },
        groups: Some(Groups {
            base: GROUPS.into(),
            name: "cn".into(),
            gid: None,
            by: GroupsBy::Filter(Template::groups(groups).expect("a filter")),
        }),
        allow: Some(Rule {
            everyone: true,
            ..Rule::default()
        }),
        admins: Some(Rule {
            groups: Some(["it".to_owned()].into()),
            ..Rule::default()
        }),
        adopts: Adopts::default(),
        timeout: Duration::from_secs(20),
        connections: 4,
    };
    Arc::new(Ldap::new(config).expect("a way in"))
}

pub(crate) async fn asking(db: &TestDb, url: String) -> TestHub {
    let hub = TestHub::start(db).await;
    hub.ask_first(vec![directory(url)], People::default()).await;
    hub
}

async fn user_of(client: &Client) -> Value {
    client.get("/hub/api/user").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_page_to_the_home_and_the_same_person_for_ever() {
    for db in TestDb::both().await {
        let slapd = Slapd::start().await;
        let dn = slapd.add_person("ada", HERS).await;
        slapd.add_posix_group("students", &["ada"]).await;
        let it = slapd.add_group(GROUPS, "it", &[&dn]).await;
        let hub = asking(&db, slapd.url()).await.with_user("guest").await;

        let ada = hub.client();
        let page = ada.get("/hub/login").await.expect(200).text();
        assert!(page.contains("name=\"password\""), "{page}");
        // Which accounts are meant where there are two kinds.
        assert!(page.contains("University account, Local account"), "{page}");
        let refused = ada.log_in("ada", "not hers").await.expect(403).text();
        assert!(refused.contains("don&#39;t fit together"), "{refused}");
        assert_eq!(ada.get("/hub/api/user").await.status, 403);
        let came = ada.log_in("Ada", HERS).await.expect(302);
        assert_eq!(came.location(), "/hub/home");
        ada.get("/hub/home").await.expect(200);
        let user = user_of(&ada).await;
        assert_eq!(user["name"], "ada");
        assert_eq!(user["admin"], true);
        assert_eq!(user["groups"], json!(["it", "students"]));
        // Accounts of this place go on beside it.
        assert_eq!(
            user_of(&hub.signed_in("guest").await).await["name"],
            "guest"
        );

        // Renamed there and out of a group, she is the same here, with what is hers now.
        slapd.remove(&it).await;
        slapd.rename(&dn, "ada.king").await;
        let king = hub.client();
        king.log_in("ada.king", HERS).await.expect(302);
        let user = user_of(&king).await;
        assert_eq!(
            (&user["name"], &user["admin"]),
            (&json!("ada"), &json!(false))
        );
        // Whoever is given her old name there is not her.
        slapd.add_person("ada", "another's password").await;
        let other = hub.client();
        let refused = other.log_in("ada", "another's password").await.expect(403);
        assert!(refused.text().contains("belongs to another account"));
        assert_eq!(other.get("/hub/api/user").await.status, 403);
    }
}

/// The second step stands behind the password of a directory, too, and is the same person's.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_step_stands_behind_the_password_of_a_directory() {
    for db in TestDb::both().await {
        let slapd = Slapd::start().await;
        let dn = slapd.add_person("ada", HERS).await;
        slapd.add_group(GROUPS, "staff", &[&dn]).await;
        let hub = asking(&db, slapd.url()).await;
        let mut settings = hub.hub.settings().as_ref().clone();
        let staff = Meant::parse("group:staff").expect("a good entry");
        settings.second_factor = Required(vec![staff]);
        hub.hub.reload(settings).await;
        // That she is in the group is known from this very log-in.
        let ada = hub.client();
        let asked = ada.log_in("ada", HERS).await.expect(302);
        assert!(asked.location().ends_with("/hub/login/code"));
        assert_eq!(ada.get("/hub/api/user").await.status, 403);
        let page = ada.get("/hub/login/code").await.expect(200).text();
        let key = key_on(&page);
        let code = key.code_at(hub.clock.now());
        let set_up = type_code(&ada, &code).await.expect(200).text();
        assert!(set_up.contains("recovery codes"), "{set_up}");
        assert_eq!(user_of(&ada).await["groups"], json!(["staff"]));
        let again = hub.client();
        again.log_in("ada", HERS).await.expect(302);
        let page = again.get("/hub/login/code").await.expect(200).text();
        assert!(!page.contains("key-text"), "{page}");
        assert_eq!(again.get("/hub/api/user").await.status, 403);
        let body = json!({"auth": {"username": "ada", "password": HERS}});
        let program = hub.client();
        let token = program.post_json("/hub/api/users/ada/tokens", &body);
        assert_eq!(token.await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_directory_opens_no_account_of_this_place() {
    let db = TestDb::sqlite().await;
    let slapd = Slapd::start().await;
    slapd.add_person("guest", HERS).await;
    slapd.add_person("ada", HERS).await;
    let hub = asking(&db, slapd.url()).await.with_user("guest").await;
    let client = hub.client();
    let refused = client.log_in("guest", HERS).await.expect(403).text();
    assert!(refused.contains("belongs to another account"), "{refused}");
    // Nor does a program get a token for it by name and password.
    let ask = async |name: &str, password: &str| {
        let body = json!({"auth": {"username": name, "password": password}});
        let path = format!("/hub/api/users/{name}/tokens");
        hub.client().post_json(&path, &body).await.status
    };
    assert_eq!(ask("guest", HERS).await, 403);
    assert_eq!(ask("guest", PASSWORD).await, 201);
    // Who has come in before, by the page, is known.
    assert_eq!(ask("ada", HERS).await, 403);
    hub.client().log_in("ada", HERS).await.expect(302);
    assert_eq!(ask("ada", HERS).await, 201);
    assert_eq!(ask("ada", "not hers").await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_password_has_what_the_directory_says_now() {
    for db in TestDb::both().await {
        let slapd = Slapd::start().await;
        let dn = slapd.add_person("ada", HERS).await;
        let it = slapd.add_group(GROUPS, "it", &[&dn]).await;
        let hub = asking(&db, slapd.url()).await.with_user("guest").await;
        let ask = async |owner: &str| {
            let body = json!({"auth": {"username": "ada", "password": HERS}});
            let path = format!("/hub/api/users/{owner}/tokens");
            hub.client().post_json(&path, &body).await
        };
        let token = async || {
            let made: Value = ask("ada").await.expect(201).json();
            let token = made["token"].as_str().expect("a token");
            hub.client().with_token(token)
        };
        hub.client().log_in("ada", HERS).await.expect(302);
        token().await.get("/hub/api/users").await.expect(200);
        ask("guest").await.expect(201);

        slapd.remove(&it).await;
        ask("guest").await.expect(403);
        let ada = token().await;
        ada.get("/hub/api/users").await.expect(403);
        let user = user_of(&ada).await;
        assert_eq!(
            (&user["name"], &user["admin"], &user["groups"]),
            (&json!("ada"), &json!(false), &json!([]))
        );
        // And if she is one again, so it is.
        slapd.add_group(GROUPS, "it", &[&dn]).await;
        token().await.get("/hub/api/users").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_away_is_no_wrong_password() {
    let db = TestDb::sqlite().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("ldap://{}", free.local_addr().expect("an address"));
    drop(free);
    let clock = Clock::manual(Millis(1_795_000_000_000));
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
    hub.ask_first(vec![directory(url)], People::default()).await;
    let hub = hub.with_user("guest").await;
    let client = hub.client();
    let said = client.log_in("ada", HERS).await.expect(503).text();
    assert!(
        said.contains("can&#39;t be checked at the moment"),
        "{said}"
    );
    // The accounts of this place found it wrong, so guessing at them is slowed down as ever.
    for _ in 0..4 {
        client.log_in("ada", HERS).await.expect(503);
    }
    client.log_in("ada", HERS).await.expect(429);
    clock.advance(1_000);
    client.log_in("ada", HERS).await.expect(503);
    // Whom this place knows itself comes in all the same.
    hub.signed_in("guest").await;
}
