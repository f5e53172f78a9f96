//! A proxy in front that says who people are: who is believed, and when a session ends.

use bytes::Bytes;
use hyper::Method;
use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::header::{GROUPS, HeaderConfig, Proof};
use lyceum_model::identity::Adopts;
use lyceum_model::secret::Secret;
use lyceum_testkit::client::Answer;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};

use crate::kit::{header, start_server};

const HERE: &str = "127.0.0.1/32";
const IN: &str = "/hub/login/header";

pub(crate) fn config(from: &str) -> HeaderConfig {
    HeaderConfig {
        title: "University".into(),
        automatic: false,
        header: "x-remote-user".into(),
        mark: None,
        display_name: Some("x-remote-name".into()),
        mail: None,
        groups: Some("x-remote-groups".into()),
        separator: ';',
        from: vec![from.parse().expect("a network")],
        proof: None,
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("{user}").expect("a template"),
            display_name: "display".into(),
            groups: Some(GROUPS.into()),
            groups_only: None,
            allow: Some(Rule {
                everyone: true,
                ..Rule::default()
            }),
            admins: Some(Rule {
                groups: Some(["it".to_owned()].into()),
                ..Rule::default()
            }),
            adopts: Adopts::default(),
        },
        log_out: None,
    }
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.send(Method::GET, path, headers, Bytes::new()).await
}

pub(crate) async fn as_user(client: &Client, path: &str, name: &str) -> Answer {
    get(client, path, &[("x-remote-user", name)]).await
}

async fn name_of(client: &Client) -> Option<String> {
    let answer = client.get("/hub/api/user").await;
    (answer.status == 200).then(|| answer.json()["name"].as_str().unwrap_or("").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_it_names_comes_in_and_what_it_says_of_her_holds() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("guest").await;
        hub.believe(config(HERE), false);
        let ada = hub.client();
        let page = as_user(&ada, "/hub/login", "ada").await.expect(200);
        assert!(page.text().contains("Log in with University"));
        let said = [
            ("x-remote-user", "Ada"),
            ("x-remote-name", "Ada Lovelace"),
            ("x-remote-groups", "math; it"),
        ];
        let answer = get(&ada, &format!("{IN}?next=/hub/token"), &said).await;
        assert_eq!(answer.expect(302).location(), "/hub/token");
        let user = ada.get("/hub/api/user").await.expect(200).json();
        assert_eq!(
            (&user["name"], &user["admin"]),
            (&"ada".into(), &true.into())
        );
        assert_eq!(user["groups"], serde_json::json!(["it", "math"]));
        // Whoever is in no group any more is no administrator any more.
        let again = hub.client();
        let said = [("x-remote-user", "ada"), ("x-remote-groups", "")];
        get(&again, IN, &said).await.expect(302);
        let user = again.get("/hub/api/user").await.expect(200).json();
        assert_eq!(user["admin"], false);
        // A name that somebody has by a password is not given away.
        let thief = hub.client();
        let page = as_user(&thief, IN, "guest").await.expect(403);
        assert!(page.text().contains("belongs to another account"));
        assert_eq!(name_of(&thief).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_believed() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let refused = async |client: &Client, headers: &[(&str, &str)]| {
        let page = get(client, IN, headers).await.expect(403);
        assert!(page.text().contains("You were not logged in there"));
        assert_eq!(name_of(client).await, None);
    };
    // From another address, whatever else is said.
    hub.believe(config("10.9.9.9/32"), false);
    for more in [
        ("x-forwarded-for", "10.9.9.9"),
        ("x-lyceum-peer", "10.9.9.9"),
        ("x-lyceum-client", "10.9.9.9"),
        ("forwarded", "for=10.9.9.9"),
    ] {
        refused(&hub.client(), &[("x-remote-user", "ada"), more]).await;
    }
    hub.believe(config(HERE), false);
    // A name in look-alike letters of the header is none.
    refused(&hub.client(), &[("x_remote_user", "ada")]).await;
    refused(&hub.client(), &[]).await;
    refused(&hub.client(), &[("x-remote-user", "(null)")]).await;
    // Past our own proxy, where whoever runs a notebook server gets.
    let past = Client::new(hub.hub_address()).below(hub.hub.base());
    refused(
        &past,
        &[("x-remote-user", "ada"), ("x-lyceum-peer", "127.0.0.1")],
    )
    .await;
    // Beside a secret only with it.
    let proof = Proof {
        header: "x-proof".into(),
        secret: Secret::new("what only the gateway has"),
    };
    let proven = HeaderConfig {
        proof: Some(proof),
        ..config(HERE)
    };
    hub.believe(proven, false);
    refused(&hub.client(), &[("x-remote-user", "ada")]).await;
    refused(
        &hub.client(),
        &[("x-remote-user", "ada"), ("x-proof", "guessed")],
    )
    .await;
    let both = [
        ("x-remote-user", "ada"),
        ("x-proof", "what only the gateway has"),
    ];
    let ada = hub.client();
    get(&ada, IN, &both).await.expect(302);
    assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_mean_two_people_means_nobody() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    hub.believe(config(HERE), false);
    let twice: &[(&str, &str)] = &[("x-remote-user", "ada"), ("x-remote-user", "ben")];
    let long = "a".repeat(2_000);
    for headers in [
        twice,
        &[("x-remote-user", "ada\tben")],
        &[("x-remote-user", "../ada")],
        &[("x-remote-user", "ada,ben")],
        &[("x-remote-user", "course:bio")],
        &[("x-remote-user", &long)],
    ] {
        let client = hub.client();
        let page = get(&client, IN, headers).await.expect(403);
        assert!(page.text().contains("no user name can be made"));
        assert_eq!(name_of(&client).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_somebody_else_is_named() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("guest").await;
        hub.believe(config(HERE), false);
        let browser = hub.client();
        as_user(&browser, IN, "ada").await.expect(302);
        as_user(&browser, "/hub/home", "ADA").await.expect(200);
        // Where the proxy in front says nothing, nothing changes.
        browser.get("/hub/home").await.expect(200);
        let page = as_user(&browser, "/hub/home", "ben").await.expect(302);
        assert!(page.location().starts_with("/hub/login"));
        // It has ended, whoever is named from now on.
        assert_eq!(name_of(&browser).await, None);
        as_user(&browser, "/hub/home", "ada").await.expect(302);
        as_user(&browser, IN, "ben").await.expect(302);
        assert_eq!(name_of(&browser).await.as_deref(), Some("ben"));
        // A guest who came by a password stays.
        let guest = hub.client();
        guest.log_in("guest", PASSWORD).await.expect(302);
        as_user(&guest, "/hub/home", "ben").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_other_way_in_nobody_has_to_choose() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let log_out = "https://login.example.edu/logout";
    let mut alone = config(HERE);
    hub.believe(alone.clone(), true);
    let ada = hub.client();
    let page = as_user(&ada, "/hub/login?next=/hub/token", "ada").await;
    let to = page.expect(302).location().to_owned();
    assert_eq!(to, format!("{IN}?next=%2Fhub%2Ftoken"));
    assert_eq!(
        as_user(&ada, &to, "ada").await.expect(302).location(),
        "/hub/token"
    );
    // Nobody is named: the page says what there is.
    let page = hub.client().get("/hub/login").await.expect(200);
    assert!(page.text().contains("Log in with University"));
    // Whoever logs out is not let in again at once, but told so.
    ada.get("/hub/home").await.expect(200);
    let page = ada.post_form("/hub/logout", &[]).await.expect(200);
    assert!(header(&page, "refresh").is_empty());
    assert_eq!(name_of(&ada).await, None);
    alone.log_out = Some(log_out.parse().expect("an address"));
    hub.believe(alone, true);
    as_user(&ada, IN, "ada").await.expect(302);
    ada.get("/hub/home").await.expect(200);
    let page = ada.post_form("/hub/logout", &[]).await.expect(200);
    assert!(page.text().contains(log_out));
    assert_eq!(header(&page, "refresh"), format!("0; url={log_out}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_other_ways_in_it_is_taken_where_the_configuration_says_so() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("guest").await;
    let mut config = config(HERE);
    config.automatic = true;
    hub.believe(config, false);
    let ada = hub.client();
    let page = as_user(&ada, "/hub/login", "ada").await.expect(302);
    assert!(page.location().starts_with(IN));
    let page = as_user(&ada, "/hub/login?local", "ada").await.expect(200);
    assert!(page.text().contains("type=\"password\""));
    // Whom it does not name is asked.
    ada.get("/hub/login").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn notebook_servers_never_see_it() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    hub.believe(config(HERE), false);
    let ada = hub.client();
    as_user(&ada, IN, "ada").await.expect(302);
    start_server(&hub, "ada").await;
    for name in ["x-remote-user", "x_remote_user", "X-Remote-Groups"] {
        let sent = [(name, "told-by-it"), ("x-other", "told-by-her")];
        let answer = get(&ada, "/user/ada/headers", &sent).await.expect(200);
        let text = answer.text();
        assert!(text.contains("told-by-her"), "{text}");
        assert!(!text.contains("told-by-it"), "{name}: {text}");
    }
}
