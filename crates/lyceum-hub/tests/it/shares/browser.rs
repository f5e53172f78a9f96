//! A guest's browser: where each person has a host, and where all have one.

use lyceum_hub::db::shares::{self, With};
use lyceum_hub::db::{groups, users};
use lyceum_hub::origins::Origins;
use lyceum_model::scope::ScopeSet;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb};
use lyceum_web::cookie;

use super::{ADAS, accept, code, opens, patch, tuned, with_user};
use crate::kit::{Socket, program};

const HUB: &str = "http://lab.example.edu";
const ADA: &str = "http://ada.lab.example.edu";

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_led_to_the_owners_host() {
    for db in TestDb::both().await {
        let url: url::Url = HUB.parse().expect("a URL");
        let hub = tuned(&db, |settings, _| {
            settings.origins = Origins::apart(&url).expect("a host");
        })
        .await;
        let ada = program(&hub, "ada").await;
        let (secret, _) = code(&ada).await;
        let ben = hub.client().at("lab.example.edu");
        ben.log_in("ben", PASSWORD).await.expect(302);
        let (_, before) = ben.visit("/user/ada/lab").await;
        before.expect(404);
        let sent = accept(&ben, &secret).await.expect(302);
        assert_eq!(sent.location(), "/user/ada/");
        let (at, page) = ben.visit("/user/ada/lab").await;
        assert!(at.starts_with(&format!("{ADA}/user/ada/lab")), "{at}");
        assert!(page.expect(200).text().contains("the server of ada"));
        let home = ben.get("/hub/home").await.expect(200).text();
        assert!(home.contains("href=\"/user/ada/\""), "{home}");
        let access = ben.cookie(cookie::ACCESS).expect("one for ada's host");
        let cookies = format!("{}={access}", cookie::ACCESS);
        let open = async || Socket::open_at(&hub, "ada.lab.example.edu", "cookie", &cookies).await;
        let mut socket = open().await.expect("a WebSocket");
        // He gives it up himself, on the home page.
        let fields = [("owner", "ada"), ("server", "")];
        ben.post_form("/hub/sharing/leave", &fields)
            .await
            .expect(302);
        socket.assert_ends().await;
        assert!(open().await.is_none());
        let (at, page) = ben.visit(&format!("{ADA}/user/ada/lab")).await;
        assert!(at.starts_with(HUB), "{at}");
        page.expect(404);
        // Nobody else has come by anything.
        let tess = hub.client().at("lab.example.edu");
        tess.log_in("tess", PASSWORD).await.expect(302);
        let (_, page) = tess.visit("/user/ada/lab").await;
        page.expect(404);
    }
}

/// Whoever has accepted a server is not asked by it once more whether it may know who she is.
#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_a_server_is_asked_once() {
    for db in TestDb::both().await {
        let hub = tuned(&db, |settings, _| settings.shared_in_browsers = true).await;
        let mut tx = db.db().write().await.expect("a transaction");
        let name = "ada".parse().expect("a name");
        let ada = users::find(&mut tx, &name).await.expect("read");
        let ada = ada.expect("there").id;
        users::set_display_name(&mut tx, &ada, "Ada Lovelace")
            .await
            .expect("written");
        tx.commit().await.expect("committed");
        let program = program(&hub, "ada").await;
        let asks = async |client: &Client| {
            let client_id = &hub.spawner.orders()[0].hub.client_id;
            let asked = format!(
                "/hub/api/oauth2/authorize?client_id={client_id}&redirect_uri=/user/ada/oauth_callback&response_type=code"
            );
            client.get(&asked).await
        };
        // Given by name: nobody has asked her yet.
        let fields = with_user("tess");
        program.post_json(ADAS, &fields).await.expect(200);
        let tess = hub.signed_in("tess").await;
        let page = asks(&tess).await.expect(200).text();
        assert!(page.contains("name=\"scopes\""), "{page}");

        let (secret, _) = code(&program).await;
        let ben = hub.signed_in("ben").await;
        let path = format!("/hub/accept-share?code={secret}");
        let page = ben.get(&path).await.expect(200).text();
        for words in ["Ada Lovelace (ada) wants to share", "your log-in name and"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        asks(&ben).await.expect(403);
        accept(&ben, &secret).await.expect(302);
        let sent = asks(&ben).await.expect(302);
        assert!(
            sent.location()
                .starts_with("/user/ada/oauth_callback?code=")
        );
        // It is bound to the browser's session and to the server.
        let agreed = ben.cookie(cookie::AGREED).expect("a cookie");
        tess.plant(cookie::AGREED, &agreed, "/hub/api/oauth2/");
        asks(&tess).await.expect(200);
        // What a server may do besides is asked all the same.
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.grants.server_clients =
            ScopeSet::parse(["read:users:activity!user"]).expect("good");
        hub.hub.reload(settings).await;
        asks(&ben).await.expect(200);
        let browser = hub.signed_in("ada").await;
        let page = browser.get("/hub/sharing").await.expect(200).text();
        assert!(page.contains(">ben<"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_host_for_all_the_configuration_decides() {
    for db in TestDb::both().await {
        let hub = tuned(&db, |_, _| {}).await;
        let ada = program(&hub, "ada").await;
        ada.post_json(ADAS, &with_user("ben")).await.expect(200);
        let (ben, root) = (hub.signed_in("ben").await, hub.signed_in("root").await);
        // Programs may, browsers may not, and are told why.
        assert_eq!(opens(&program(&hub, "ben").await).await, 200);
        assert_eq!(opens(&ben).await, 403);
        let html = [("accept", "text/html")];
        let told = ben
            .send(hyper::Method::GET, "/hub/user/ada/lab", &html, "".into())
            .await;
        assert!(told.expect(403).text().contains("could act as you"));
        let home = ben.get("/hub/home").await.expect(200).text();
        assert!(!home.contains("href=\"/user/ada/\""), "{home}");
        let switch = async |on: bool| {
            let mut settings = hub.hub.settings().as_ref().clone();
            settings.shared_in_browsers = on;
            hub.hub.reload(settings).await;
        };
        switch(true).await;
        crate::kit::until("the refusal is forgotten", async || {
            opens(&ben).await == 200
        })
        .await;
        let home = ben.get("/hub/home").await.expect(200).text();
        assert!(home.contains("href=\"/user/ada/\""), "{home}");
        // It is about what was shared: an administrator's right is none.
        assert_eq!(opens(&root).await, 403);
        let mut socket = Socket::by_cookie(&hub, &ben).await;
        patch(&ada, ADAS, &with_user("ben")).await.expect(200);
        socket.assert_ends().await;
        assert_ne!(opens(&ben).await, 200);
        ada.post_json(ADAS, &with_user("ben")).await.expect(200);
        crate::kit::until("he may again", async || opens(&ben).await == 200).await;
        let mut socket = Socket::by_cookie(&hub, &ben).await;
        switch(false).await;
        socket.assert_ends().await;
        assert_ne!(opens(&ben).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_manages_her_shares_on_a_page() {
    for db in TestDb::both().await {
        let hub = tuned(&db, |_, _| {}).await;
        let ada = hub.signed_in("ada").await;
        let ben = program(&hub, "ben").await;
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(home.contains("/hub/sharing"), "{home}");
        let page = ada.get("/hub/sharing").await.expect(200).text();
        assert!(page.contains("name=\"user\"") && page.contains("name=\"group\""));
        let made = [("server", ""), ("expires_in", "3600")];
        let page = ada.post_form("/hub/sharing/code", &made).await.expect(200);
        let page = page.text();
        let (_, rest) = page.split_once("/hub/accept-share?code=").expect("a link");
        let secret = rest.split('"').next().expect("its end");
        let guest = hub.signed_in("ben").await;
        accept(&guest, secret).await.expect(302);
        assert_eq!(opens(&ben).await, 200);
        let page = ada.get("/hub/sharing").await.expect(200).text();
        assert!(!page.contains(secret), "shown once");
        let id = |page: &str, form: &str| {
            let (_, rest) = page
                .split_once(&format!("action=\"{form}\""))
                .expect("a form");
            let (_, rest) = rest.split_once("name=\"id\" value=\"").expect("an id");
            rest.split('"').next().expect("its end").to_owned()
        };
        let (share, code) = (
            id(&page, "/hub/sharing/revoke"),
            id(&page, "/hub/sharing/revoke-code"),
        );
        // Not his business.
        guest.get("/hub/home").await.expect(200);
        for (form, id) in [("revoke", &share), ("revoke-code", &code)] {
            let path = format!("/hub/sharing/{form}");
            guest.post_form(&path, &[("id", id)]).await;
        }
        for form in ["code", "give", "revoke-all"] {
            let path = format!("/hub/sharing/{form}");
            let fields = [("server", ""), ("expires_in", "60"), ("user", "tess")];
            guest.post_form(&path, &fields).await.expect(404);
        }
        assert_eq!(opens(&ben).await, 200);
        let page = ada.get("/hub/sharing").await.expect(200).text();
        assert!(page.contains(&share) && page.contains(&code));
        ada.post_form("/hub/sharing/revoke", &[("id", &share)])
            .await
            .expect(302);
        assert_eq!(opens(&ben).await, 403);
        ada.post_form("/hub/sharing/revoke-code", &[("id", &code)])
            .await
            .expect(302);
        accept(&guest, secret).await.expect(400);
        // By name.
        for (field, name, expect) in [
            ("user", "ben", 302),
            ("user", "nobody", 400),
            ("user", "", 400),
            ("group", "lab", 302),
            ("group", "none", 400),
        ] {
            let fields = [("server", ""), (field, name)];
            let answer = ada.post_form("/hub/sharing/give", &fields).await;
            assert_eq!(answer.status, expect, "{field} {name}");
        }
        assert_eq!(super::number(&hub, "SELECT COUNT(*) FROM shares").await, 2);
        for life in ["59", "0", "-1", "99999999999"] {
            let fields = [("server", ""), ("expires_in", life)];
            ada.post_form("/hub/sharing/code", &fields)
                .await
                .expect(400);
        }
        ada.post_form("/hub/sharing/code", &made).await.expect(200);
        ada.post_form("/hub/sharing/revoke-all", &[("server", "")])
            .await
            .expect(302);
        assert_eq!(super::number(&hub, "SELECT COUNT(*) FROM shares").await, 0);
        assert_eq!(
            super::number(&hub, "SELECT COUNT(*) FROM share_codes").await,
            0
        );
        // Who may not share sees no form, and no name is there to be typed.
        let page = guest.get("/hub/sharing").await.expect(200).text();
        assert!(!page.contains("/hub/sharing/"), "{page}");
        let home = guest.get("/hub/home").await.expect(200).text();
        assert!(!home.contains("/hub/sharing"), "{home}");
    }
}

/// Whom it is shared with comes in pages, so that each share can be taken back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn more_shares_than_a_page_holds_are_on_the_next() {
    let db = TestDb::sqlite().await;
    let hub = tuned(&db, |_, _| {}).await;
    let server = crate::servers::row(db.db(), "ada", "").await.expect("one");
    let names: Vec<String> = (0..501).map(|number| format!("team-{number:03}")).collect();
    let mut tx = db.db().write().await.expect("a transaction");
    for name in &names {
        let now = hub.hub.now();
        groups::ensure(&mut tx, name, now).await.expect("made");
        let group = groups::find(&mut tx, name).await.expect("read");
        let group = group.expect("a group");
        let scopes = ["access:servers".to_owned()];
        let with = With::Group(&group.id);
        let given = shares::grant(&mut tx, &server.id, with, &scopes, "user ada", now);
        given.await.expect("given");
    }
    tx.commit().await.expect("committed");
    let ada = hub.signed_in("ada").await;
    let on = async |path: &str| -> usize {
        let page = ada.get(path).await.expect(200).text();
        names.iter().filter(|name| page.contains(*name)).count()
    };
    let first = ada.get("/hub/sharing").await.expect(200).text();
    assert!(first.contains("/hub/sharing?offset=500"), "{first}");
    assert_eq!(on("/hub/sharing").await, 500);
    for behind in ["500", "501", "99999999"] {
        assert_eq!(on(&format!("/hub/sharing?offset={behind}")).await, 1);
    }
    assert_eq!(on("/hub/sharing?offset=-7").await, 500);
    let last = ada.get("/hub/sharing?offset=500").await.expect(200).text();
    assert!(last.contains("/hub/sharing?offset=0"), "{last}");
    hub.stop().await;
}
