//! The page of one's own tokens and sessions.

use lyceum_testkit::{TestDb, TestHub};

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
async fn a_token_can_be_narrowed_down_and_not_widened() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let page = ada.get("/hub/token").await.expect(200).text();
        assert!(page.contains("value=\"servers!user=ada\""), "{page}");
        // What is a part of something else on the list is not offered.
        assert!(!page.contains("value=\"start:servers!user=ada\""), "{page}");
        let make = async |fields: &[(&str, &str)]| ada.post_form("/hub/token/new", fields).await;
        let made = make(&[
            ("note", "narrow"),
            ("scope", "read:servers!user=ada"),
            ("scope", "users:activity!user=ada"),
            (
                "scopes",
                " read:users:name!user  read:users:groups!user=ada ",
            ),
        ]);
        let secret = shown(&made.await.expect(200).text()).expect("a token");
        let narrow = hub.client().with_token(&secret);
        let who = narrow.get("/hub/api/user").await.expect(200).json();
        assert!(
            who["scopes"].to_string().contains("read:servers!user=ada"),
            "{who}"
        );
        narrow
            .post_json("/hub/api/users/ada/server", &serde_json::json!({}))
            .await
            .expect(403);
        for (field, scope, said) in [
            (
                "scope",
                "admin:users",
                "ada does not hold these scopes: admin:users",
            ),
            ("scopes", "servers!user=eve", "does not hold these scopes"),
            (
                "scopes",
                "read:everything",
                "There is no scope read:everything",
            ),
            ("scopes", "<b>", "&lt;b&gt;"),
        ] {
            let refused = make(&[("note", "mine"), (field, scope)])
                .await
                .expect(400)
                .text();
            assert!(refused.contains(said), "{scope}: {refused}");
            assert!(
                refused.contains("value=\"mine\"") && shown(&refused).is_none(),
                "{refused}"
            );
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_shown_once_each_and_lose_all_they_have() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let mut secrets = Vec::new();
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        let name = crate::grants::name("ada");
        let user = lyceum_hub::db::users::find(&mut tx, &name).await;
        let user = user.expect("read").expect("there");
        for scope in ["read:users:name!user=ada", "read:servers!user=ada"] {
            let new = lyceum_hub::tokens::NewToken {
                note: "OAuth for /services/grader/".into(),
                scopes: vec![scope.into()],
                oauth_client: Some("service-grader".into()),
                ..Default::default()
            };
            let now = hub.hub.now();
            let issued = lyceum_hub::tokens::issue(&mut tx, &user, new, now).await;
            secrets.push(issued.expect("a token"));
        }
        tx.commit().await.expect("written");
        let ada = hub.signed_in("ada").await;
        let page = ada.get("/hub/token").await.expect(200).text();
        assert_eq!(
            page.matches("scope=\"row\">OAuth for /services/grader/")
                .count(),
            1
        );
        let id = &secrets[0].0.id;
        ada.post_form("/hub/token/revoke", &[("id", id)])
            .await
            .expect(302);
        for (_, secret) in &secrets {
            let program = hub.client().with_token(secret);
            program.get("/hub/api/user").await.expect(403);
        }
        let page = ada.get("/hub/token").await.expect(200).text();
        assert!(!page.contains("/services/grader/"), "{page}");
        let program = program(&hub, "ada").await;
        for path in ["/hub/token/new", "/hub/token/revoke"] {
            crate::kit::post_plain(&program, path, &[("id", "x")])
                .await
                .expect(403);
        }
        hub.stop().await;
    }
}
