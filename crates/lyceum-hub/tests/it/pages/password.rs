//! A new password: by the old one, and by a link.

use lyceum_model::clock::Clock;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};

use crate::grants::{granting, role};
use crate::kit::{Socket, program, start_server};

const NEW: &str = "lantern orbit gravel";

async fn change(client: &Client, old: &str, new: &str, again: &str) -> (u16, String) {
    let fields = [("old", old), ("new", new), ("again", again)];
    let answer = client.post_form("/hub/password", &fields).await;
    (answer.status.as_u16(), answer.text())
}

async fn by_link(client: &Client, link: &str, new: &str) -> (u16, String) {
    let fields = [("link", link), ("new", new), ("again", new)];
    let answer = client.post_form("/hub/new-password", &fields).await;
    (answer.status.as_u16(), answer.text())
}

/// The secret of a link that this administrator makes.
async fn make_link(root: &Client, name: &str) -> String {
    let path = format!("/hub/admin/user/{name}");
    let page = root.post_form(&path, &[("do", "password-link")]).await;
    let page = page.expect(200).text();
    let (_, rest) = page.split_once("/hub/new-password?link=").expect("a link");
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knows_the_old_one_gives_herself_a_new_one() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let here = hub.signed_in("ada").await;
        let other = hub.signed_in("ada").await;
        let script = program(&hub, "ada").await;
        let mut socket = Socket::by_cookie(&hub, &other).await;
        let page = here.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("/hub/password\""), "{page}");
        let form = here.get("/hub/password").await.expect(200).text();
        assert!(form.contains("At least 8 characters"), "{form}");
        for (old, new, again, status, words) in [
            ("wrong", NEW, NEW, 403, "current password is not right"),
            (PASSWORD, NEW, "other", 400, "two new passwords differ"),
            (PASSWORD, "kurz", "kurz", 400, "at least 8 characters"),
            (PASSWORD, "password1", "password1", 400, "guessed first"),
            (PASSWORD, "", "", 400, "at least 8 characters"),
        ] {
            let (got, page) = change(&here, old, new, again).await;
            assert_eq!(got, status, "{new}: {page}");
            assert!(page.contains(words), "{new}: {page}");
            assert!(!page.contains(PASSWORD) && !page.contains(NEW), "{page}");
        }
        let long = "ab".repeat(1000);
        let (got, page) = change(&here, PASSWORD, &long, &long).await;
        assert!(got == 400 && page.contains("1,024 bytes"), "{got}: {page}");
        socket.assert_open().await;

        let (status, page) = change(&here, PASSWORD, NEW, NEW).await;
        assert!(status == 200 && page.contains("is changed"), "{page}");
        socket.assert_ends().await;
        for browser in [&here, &other] {
            browser.get("/hub/home").await.expect(302);
        }
        script.get("/hub/api/user").await.expect(403);
        let again = hub.client();
        again.log_in("ada", PASSWORD).await.expect(403);
        again.log_in("ada", NEW).await.expect(302);
        // The server went on.
        again.get("/user/ada/api").await.expect(200);
        hub.stop().await;
    }
}

/// Whoever sits down at somebody's open browser guesses no faster than at the log-in page.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_old_one_are_slowed_down() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let here = hub.signed_in("ada").await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(change(&here, "a guess", NEW, NEW).await.0);
    }
    assert_eq!(statuses[..5], [403; 5], "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    hub.client().log_in("ada", PASSWORD).await.expect(429);
    // Programs have no business there, and strangers none at all.
    let script = program(&hub, "ada").await;
    assert_eq!(change(&script, PASSWORD, NEW, NEW).await.0, 404);
    assert_eq!(change(&hub.client(), PASSWORD, NEW, NEW).await.0, 403);
    hub.client().get("/hub/password").await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_once_and_for_three_days() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |_, _| {}).await;
        let hub = hub.with_admin("root").await.with_user("ada").await;
        let root = hub.signed_in("root").await;
        let ada = hub.signed_in("ada").await;
        let first = make_link(&root, "ada").await;
        let link = make_link(&root, "ada").await;
        let her = hub.client();
        let show = async |link: &str| her.get(&format!("/hub/new-password?link={link}")).await;
        for bad in [first.as_str(), "", "x", &link[1..]] {
            let gone = show(bad).await.expect(404).text();
            assert!(gone.contains("not good any more"), "{bad}: {gone}");
            assert_eq!(by_link(&her, bad, NEW).await.0, 404, "{bad}");
        }
        // Programs that look at links in messages use nothing up.
        for _ in 0..2 {
            let form = show(&link).await.expect(200);
            assert!(form.text().contains("A password for ada"));
        }
        let (status, page) = by_link(&her, &link, "ada12345").await;
        assert!(status == 400 && page.contains("guessed first"), "{page}");
        ada.get("/hub/home").await.expect(200);
        let (status, page) = by_link(&her, &link, NEW).await;
        assert!(status == 200 && page.contains("is changed"), "{page}");
        ada.get("/hub/home").await.expect(302);
        her.log_in("ada", PASSWORD).await.expect(403);
        her.log_in("ada", NEW).await.expect(302);
        assert_eq!(by_link(&her, &link, "another orbit lantern").await.0, 404);

        // In a browser where somebody is signed in, herself or another.
        for browser in [&her, &root] {
            let link = make_link(&root, "ada").await;
            let show = format!("/hub/new-password?link={link}");
            browser.get(&show).await.expect(200);
            let (status, page) = by_link(browser, &link, NEW).await;
            assert!(status == 200 && page.contains("is changed"), "{page}");
            her.log_in("ada", NEW).await.expect(302);
            root.get("/hub/home").await.expect(200);
        }

        let link = make_link(&root, "ada").await;
        clock.advance(3 * 24 * 3_600_000);
        assert_eq!(by_link(&her, &link, PASSWORD).await.0, 404, "too old");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_a_new_password_and_with_the_name() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let root = hub.signed_in("root").await;
        let stranger = hub.client();
        let ada = hub.signed_in("ada").await;
        let link = make_link(&root, "ada").await;
        assert_eq!(change(&ada, PASSWORD, NEW, NEW).await.0, 200);
        stranger.get("/hub/login").await.expect(200);
        assert_eq!(by_link(&stranger, &link, PASSWORD).await.0, 404);
        let link = make_link(&root, "ben").await;
        let rename = [("do", "rename"), ("to", "bert")];
        root.post_form("/hub/admin/user/ben", &rename)
            .await
            .expect(302);
        assert_eq!(by_link(&stranger, &link, NEW).await.0, 404);
        let link = make_link(&root, "bert").await;
        let delete = [("do", "delete"), ("confirm", "bert")];
        root.post_form("/hub/admin/user/bert", &delete)
            .await
            .expect(302);
        assert_eq!(by_link(&stranger, &link, NEW).await.0, 404);
        hub.stop().await;
    }
}

/// A link lets in as her whoever has it: only those who may do all make one, and no page of another site
/// uses one.
#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_make_links_and_no_foreign_page_uses_one() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "keeper", &["admin-ui", "admin:users"], &["ben"]);
    })
    .await;
    let ben = hub.signed_in("ben").await;
    let page = ben.get("/hub/admin/user/ada").await.expect(200).text();
    assert!(!page.contains("password-link"), "{page}");
    let wish = [("do", "password-link")];
    ben.post_form("/hub/admin/user/ada", &wish)
        .await
        .expect(403);
    let root = hub.signed_in("root").await;
    let link = make_link(&root, "ada").await;
    let foreign = hub.client().with_header("sec-fetch-site", "cross-site");
    foreign.get("/hub/login").await.expect(200);
    let (status, page) = by_link(&foreign, &link, NEW).await;
    assert!(
        status == 403 && page.contains("open for too long"),
        "{page}"
    );
    hub.client().log_in("ada", PASSWORD).await.expect(302);
}
