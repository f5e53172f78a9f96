//! A page in German says nothing in English, also when something went wrong.

use hyper::Method;
use lyceum_testkit::{TestDb, TestHub};

use crate::kit::{assert_german, assert_no_english, in_german, program, start_server};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_forms() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = in_german(hub.signed_in("ada").await);
    let long = "a".repeat(40);
    for (path, fields, status, said) in [
        (
            "/hub/servers/add",
            ("server", ""),
            400,
            "Geben Sie dem neuen Server",
        ),
        (
            "/hub/servers/add",
            ("server", "GPU"),
            400,
            "einzelnen Bindestrichen",
        ),
        (
            "/hub/servers/add",
            ("server", long.as_str()),
            400,
            "länger als 30 Zeichen",
        ),
        (
            "/hub/servers/remove",
            ("server", "no-such"),
            404,
            "keinen Zugriff",
        ),
        (
            "/hub/token/new",
            ("expires_in", "soon"),
            400,
            "größer als 0",
        ),
        (
            "/hub/servers/start",
            ("user", "nobody"),
            404,
            "keinen Zugriff",
        ),
    ] {
        let page = ada.post_form(path, &[fields]).await.expect(status).text();
        assert!(page.contains(said), "{path} {fields:?}: {page}");
        assert_german(&page);
    }
    start_server(&hub, "ada").await;
    let page = ada.post_form("/hub/servers/remove", &[("server", "")]);
    let page = page.await.expect(400).text();
    assert!(page.contains("Standardserver"), "{page}");
    assert_german(&page);
    for name in ["a", "b", "c"] {
        let fields = [("server", name)];
        ada.post_form("/hub/servers/add", &fields).await.expect(302);
    }
    let page = ada.post_form("/hub/servers/add", &[("server", "d")]).await;
    let page = page.expect(400).text();
    assert!(
        page.contains("Sie dürfen 3 benannte Server haben"),
        "{page}"
    );
    assert_german(&page);

    // Its name is the reader's own from then on; those that the hub gives are put in German.
    ada.post_form("/hub/token/new", &[("expires_in", "60")])
        .await
        .expect(200);
    let page = ada.get("/hub/token").await.expect(200).text();
    assert!(page.contains("Auf der Token-Seite angefordert"), "{page}");
    assert!(page.contains("Server unter /user/ada/"), "{page}");
    assert_german(&page);

    for path in ["/hub/home", "/hub/spawn-pending/ada", "/hub/logs/ada"] {
        let page = ada.get(path).await;
        assert_no_english(&page.text());
    }
    // For programs nothing changes with the language.
    let list = program(&hub, "ada")
        .await
        .with_header("accept-language", "de");
    let list = list
        .get("/hub/api/users/ada/tokens")
        .await
        .expect(200)
        .text();
    assert!(list.contains("Server at /user/ada/"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn error_pages() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    start_server(&hub, "eve").await;
    let nobody = in_german(hub.client());
    let ada = in_german(hub.signed_in("ada").await);
    let large = "a".repeat(300 * 1024);
    let xsrf = ada.cookie("_xsrf").expect("signed in");
    let put = format!("/hub/login?_xsrf={xsrf}");
    for (method, path, body, status) in [
        (Method::GET, "/hub/no-such-page", "", 404),
        (Method::GET, "/hub/static/no-such-file", "", 404),
        (Method::GET, "/hub/spawn/nobody", "", 404),
        (Method::GET, "/hub/logs/eve", "", 404),
        (Method::GET, "/hub/user/eve/", "", 404),
        (Method::GET, "/hub/admin", "", 403),
        (Method::GET, "/hub/admin/users?limit=much", "", 403),
        (Method::PUT, put.as_str(), "", 405),
        (Method::POST, "/elsewhere", "", 404),
        (Method::POST, "/hub/token/new", "note=x", 403),
        (Method::POST, "/hub/token/new", "note=x&_xsrf=y", 403),
        (Method::POST, "/hub/token/new", large.as_str(), 413),
        (
            Method::GET,
            "/hub/api/oauth2/authorize?client_id=x&redirect_uri=y&response_type=code",
            "",
            400,
        ),
        (
            Method::GET,
            "/hub/api/oauth2/authorize?client_id=jupyterhub-user-eve&redirect_uri=y&response_type=code",
            "",
            400,
        ),
        (
            Method::GET,
            "/hub/api/oauth2/authorize?client_id=jupyterhub-user-eve&redirect_uri=%2Fuser%2Feve%2Foauth_callback&response_type=code",
            "",
            403,
        ),
    ] {
        let page = ada
            .send(method.clone(), path, &[FORM], body.to_owned().into())
            .await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.text());
        assert_german(&page.text());
        // A page for those who aren't signed in: the log-in page, or a refusal.
        let page = nobody
            .send(method, path, &[FORM], body.to_owned().into())
            .await;
        assert_no_english(&page.text());
    }
    // A program that asks in German is told the same facts in English.
    let asked = program(&hub, "ada")
        .await
        .with_header("accept-language", "de");
    let message = &asked.get("/hub/no-such-page").await.expect(404).json()["message"];
    assert_eq!(message, "There is no such page");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_framework_refuses_is_quoted() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = in_german(hub.signed_in("ada").await);
    let page = ada.get("/hub/login?next=a&next=b").await.expect(400).text();
    assert!(
        page.contains("Ein Teil der Adresse oder des Formulars"),
        "{page}"
    );
    assert!(page.contains("<q lang=\"en\">"), "{page}");
    assert_german(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_area_of_administrators() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    start_server(&hub, "ada").await;
    hub.signed_in("ada").await;
    let root = in_german(hub.signed_in("root").await);
    let add = [("name", "bio"), ("users", "ada")];
    let added = root.post_form("/hub/admin/groups/add", &add).await;
    for path in [
        added.expect(302).location(),
        "/hub/admin",
        "/hub/admin/users",
        "/hub/admin/users?q=nobody&done=blocked&n=2&refused=1",
        "/hub/admin/user/ada",
        "/hub/admin/groups",
        "/hub/admin/servers",
        "/hub/admin/services",
        "/hub/admin/tokens",
        "/hub/admin/activity",
        "/hub/admin/configuration",
        "/hub/sessions",
        "/hub/token",
    ] {
        assert_german(&root.get(path).await.expect(200).text());
    }
    // Roles that there always are have words of their own; JupyterHub's are its API's.
    let her = root.get("/hub/admin/user/ada").await.expect(200).text();
    assert!(her.contains("Was jede Person darf"), "{her}");
    assert!(!her.contains("Standard user privileges"), "{her}");
    for (path, fields, said) in [
        ("/hub/admin/users/add", [("names", "a!"), ("", "")], "a!: "),
        (
            "/hub/admin/groups/add",
            [("name", "bio"), ("", "")],
            "gibt es schon",
        ),
        (
            "/hub/admin/users/do",
            [("do", "explode"), ("", "")],
            "laden Sie die Seite neu",
        ),
        (
            "/hub/admin/user/root",
            [("do", "block"), ("", "")],
            "mit sich selbst",
        ),
        (
            "/hub/admin/user/ada",
            [("do", "delete"), ("", "")],
            "nichts gelöscht",
        ),
        (
            "/hub/token/new",
            [("scopes", "read:all"), ("", "")],
            "read:all gibt es nicht",
        ),
        (
            "/hub/servers/title",
            [("title", ""), ("", "")],
            "druckbaren Zeichen",
        ),
    ] {
        let page = root.post_form(path, &fields).await.text();
        assert!(page.contains(said), "{path}: {page}");
        assert_german(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let client = in_german(hub.client());
    let expired = client.post_form("/hub/login", &[("username", "ada")]).await;
    assert_german(&expired.expect(403).text());
    let mut told = None;
    for _ in 0..12 {
        let answer = client.log_in("ada", "a guess").await;
        assert_german(&answer.text());
        if answer.status.as_u16() == 429 {
            told = Some(answer.text());
            break;
        }
        assert!(answer.text().contains("passen nicht zusammen"));
    }
    let told = told.expect("the guesses are slowed down");
    assert!(told.contains("zu viele Versuche"), "{told}");
}
