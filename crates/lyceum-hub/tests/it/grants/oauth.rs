//! People sign in to a service by the hub.

use lyceum_model::scope::{Definition, ScopeSet, Vocabulary};
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use super::{SECRET, granting, reload, role, service};
use crate::kit::{form_token, post_plain, program, query_value, quoted};

const CALLBACK: &str = "/services/grades/oauth_callback";

fn authorize(client_id: &str, redirect: &str) -> String {
    format!(
        "/hub/api/oauth2/authorize?client_id={client_id}&redirect_uri={}&response_type=code&state=x",
        quoted(redirect)
    )
}

async fn change(hub: &TestHub, code: &str, client_id: &str, secret: &str) -> Answer {
    let fields = [
        ("client_id", client_id),
        ("client_secret", secret),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
    ];
    post_plain(&hub.client(), "/hub/api/oauth2/token", &fields).await
}

/// What the service holds after this visitor came by; she says yes if she is asked.
async fn sign_in(hub: &TestHub, visitor: &Client) -> (Client, bool) {
    let here = authorize("service-grades", CALLBACK);
    let mut answer = visitor.get(&here).await;
    let asked = answer.status == 200;
    if asked {
        let page = answer.text();
        assert!(page.contains("/services/grades/"), "{page}");
        let xsrf = form_token(&page);
        answer = visitor.post_form(&here, &[("_xsrf", &xsrf)]).await;
    }
    let answer = answer.expect(302);
    let location = answer.location();
    assert!(location.starts_with(CALLBACK), "{location}");
    let code = query_value(location, "code").expect("a code");
    let token = change(hub, &code, "service-grades", &format!("{SECRET} grades")).await;
    let token = token.expect(200).json();
    let token = token["access_token"].as_str().expect("a token");
    (hub.client().with_token(token), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_learns_who_came() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            service(grants, "grades", |service| {
                service.url = Some("http://127.0.0.1:9".into());
                service.allowed_scopes =
                    ScopeSet::parse(["read:users:activity!user", "read:services!service", "proxy"])
                        .expect("good");
            });
            let scopes = ["access:services!service=grades", "read:services"];
            role(grants, "students", &scopes, &["ada"]);
        })
        .await;
        let ada = hub.signed_in("ada").await;
        let (token, asked) = sign_in(&hub, &ada).await;
        assert!(asked, "the first time she is asked");
        let who = token.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["name"], "ada");
        // What the service may have of her, and she holds herself.
        assert_eq!(
            who["scopes"],
            json!([
                "access:services!service=grades",
                "read:services!service=grades",
                "read:services:name!service=grades",
                "read:users:activity!user=ada",
                "read:users:groups!user=ada",
                "read:users:name!user=ada",
            ])
        );
        let (_, asked) = sign_in(&hub, &ada).await;
        assert!(!asked, "she has said so before");
        // More is wanted: she is asked again.
        reload(&hub, |grants| {
            service(grants, "grades", |service| {
                service.url = Some("http://127.0.0.1:9".into());
                service.allowed_scopes = ScopeSet::parse(["read:servers!user"]).expect("good");
            });
        })
        .await;
        assert!(sign_in(&hub, &ada).await.1);
        // Others have no access; whoever loses it has none any more.
        let ben = hub.signed_in("ben").await;
        let here = authorize("service-grades", CALLBACK);
        ben.get(&here).await.expect(403);
        reload(&hub, |grants| {
            grants.roles.remove("students");
        })
        .await;
        let who = token.get("/hub/api/user").await.expect(200).json();
        assert!(
            !who["scopes"].to_string().contains("access:services"),
            "{who}"
        );
        ada.get(&here).await.expect(403);
        // The tokens of a service that is gone go with it.
        reload(&hub, |grants| grants.services.clear()).await;
        token.get("/hub/api/user").await.expect(403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_of_the_site_is_told_in_its_words() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        let definition = Definition {
            description: "Read your grades".into(),
            subscopes: Vec::new(),
        };
        let all = [("custom:grades:read".to_owned(), definition)].into();
        grants.vocabulary = Vocabulary::define(&all).0;
        let allowed = grants.vocabulary.parse_all(["custom:grades:read!user"]);
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
            service.allowed_scopes = allowed.expect("good");
        });
        let scopes = ["self", "access:services", "custom:grades:read!user"];
        role(grants, "user", &scopes, &[]);
    })
    .await;
    let ada = hub.signed_in("ada").await;
    let page = ada.get(&authorize("service-grades", CALLBACK)).await;
    let page = page.expect(200).text();
    assert!(page.contains("Read your grades (your own)"), "{page}");
    let (token, _) = sign_in(&hub, &ada).await;
    let who = token.get("/hub/api/user").await.expect(200).text();
    assert!(who.contains("custom:grades:read!user=ada"), "{who}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_the_house_asks_nobody() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
            service.no_confirm = true;
        });
        role(
            grants,
            "user",
            &["self", "access:services!service=grades"],
            &[],
        );
    })
    .await;
    let ben = hub.signed_in("ben").await;
    let (token, asked) = sign_in(&hub, &ben).await;
    assert!(!asked);
    // It dies with the session, as a server's does.
    token.get("/hub/api/user").await.expect(200);
    ben.post_form("/hub/logout", &[]).await.expect(302);
    token.get("/hub/api/user").await.expect(403);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_where_a_service_is_not() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
        });
        service(grants, "far", |service| {
            service.redirect_uri = Some("https://far.example.edu/back".into());
        });
        service(grants, "mute", |_| {});
        role(grants, "user", &["self", "access:services"], &[]);
    })
    .await;
    let ada = hub.signed_in("ada").await;
    let ask = async |client: &str, redirect: &str| {
        let answer = ada.get(&authorize(client, redirect)).await;
        (answer.status.as_u16(), answer.location().to_owned())
    };
    let here = format!("http://{}{CALLBACK}", hub.address());
    let far = "https://far.example.edu/back";
    for (client, redirect, expect) in [
        ("service-grades", CALLBACK, 200),
        ("service-grades", &here, 200),
        ("service-grades", "/services/grades/", 400),
        (
            "service-grades",
            "https://evil.example/services/grades/oauth_callback",
            400,
        ),
        ("service-grades", far, 400),
        ("service-far", far, 200),
        ("service-far", "https://far.example.edu/back/", 400),
        ("service-far", "https://far.example.edu/back?x", 400),
        ("service-far", "/services/far/oauth_callback", 400),
        ("service-mute", "/services/mute/oauth_callback", 400),
        ("service-none", "/services/none/oauth_callback", 400),
    ] {
        let (status, location) = ask(client, redirect).await;
        assert_eq!(
            (status, location.as_str()),
            (expect, ""),
            "{client} {redirect}"
        );
    }
    // The secret is the service's own, for its own codes.
    let xsrf = form_token(&ada.get(&authorize("service-grades", CALLBACK)).await.text());
    let yes = ada
        .post_form(&authorize("service-grades", CALLBACK), &[("_xsrf", &xsrf)])
        .await;
    let code = query_value(yes.expect(302).location(), "code").expect("a code");
    for (client, secret, expect) in [
        ("service-grades", format!("{SECRET} far"), 401),
        ("service-grades", "guessed".into(), 401),
        ("service-far", format!("{SECRET} grades"), 401),
        ("service-far", format!("{SECRET} far"), 400),
        // The try before has used the code up.
        ("service-grades", format!("{SECRET} grades"), 400),
    ] {
        let answer = change(&hub, &code, client, &secret).await;
        assert_eq!(answer.status, expect, "{client} {secret}");
    }
    // A service is nobody who could sign in.
    let program = program(&hub, "ada").await;
    program
        .get(&authorize("service-grades", CALLBACK))
        .await
        .expect(403);
    hub.stop().await;
}
