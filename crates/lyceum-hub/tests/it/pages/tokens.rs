//! The page of one's own tokens and sessions.

use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::cookie;

use crate::kit::program;

/// What stands in the field that shows a new token.
fn shown(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("id=\"token-text\"")?;
    let (_, rest) = rest.split_once("value=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_shown_once_and_can_be_taken_back() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        assert_eq!(shown(&ada.get("/hub/token").await.expect(200).text()), None);
        let made = ada
            .post_form(
                "/hub/token/new",
                &[("note", "<b>mine</b>"), ("expires_in", "3600")],
            )
            .await
            .expect(200);
        let page = made.text();
        let secret = shown(&page).expect("the new token");
        assert!(!page.contains("<b>mine"), "{page}");
        let program = hub.client().with_token(&secret);
        program.get("/hub/api/user").await.expect(200);
        let later = ada.get("/hub/token").await.expect(200).text();
        assert!(
            !later.contains(&secret) && later.contains("mine"),
            "{later}"
        );
        let list = program
            .get("/hub/api/users/ada/tokens")
            .await
            .expect(200)
            .json();
        let id = list["api_tokens"][0]["id"].as_str().expect("an id");
        ada.post_form("/hub/token/revoke", &[("id", id)])
            .await
            .expect(302);
        program.get("/hub/api/user").await.expect(403);
        for bad in ["soon", "-1", "0", "1e9", "99999999999999999999"] {
            let page = ada
                .post_form("/hub/token/new", &[("note", "x"), ("expires_in", bad)])
                .await
                .expect(400)
                .text();
            assert!(page.contains("more than 0"), "{bad}: {page}");
            assert_eq!(shown(&page), None);
        }
        ada.post_form(
            "/hub/token/new",
            &[("note", "x"), ("expires_in", "9223372036854775807")],
        )
        .await
        .expect(200);
        for odd in ["", "\0", "a'--"] {
            let answer = ada.post_form("/hub/token/revoke", &[("id", odd)]).await;
            assert!(
                matches!(answer.status.as_u16(), 302 | 400),
                "{odd:?} {}",
                answer.text()
            );
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_from_another_browser_and_only_by_its_owner() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let here = hub.signed_in("ada").await;
    let there = hub.signed_in("ada").await;
    let eve = hub.signed_in("eve").await;
    let id = there.cookie(cookie::SESSION_ID).expect("a session");
    eve.post_form("/hub/token/end-session", &[("id", &id)])
        .await
        .expect(302);
    there.get("/hub/home").await.expect(200);
    here.post_form("/hub/token/end-session", &[("id", &id)])
        .await
        .expect(302);
    there.get("/hub/home").await.expect(302);
    here.get("/hub/home").await.expect(200);
    // A token of hers is not a way to these forms.
    let program = program(&hub, "ada").await;
    for path in [
        "/hub/token/new",
        "/hub/token/revoke",
        "/hub/token/end-session",
    ] {
        crate::kit::post_plain(&program, path, &[("id", "x")])
            .await
            .expect(403);
    }
}
