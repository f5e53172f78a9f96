//! People sign in to a service by the hub.

use lyceum_model::scope::{Definition, ScopeSet, Vocabulary};
use lyceum_store::on;
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use super::{SECRET, granting, reload, role, service};
use crate::api::oauth_token;
use crate::kit::{
    form_token, hidden_fields, post_plain, program, query_value, quoted, start_server,
};

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
    sign_in_for(hub, visitor, "", |_| true).await
}

/// As `sign_in`, for these scopes, of which she agrees to some.
async fn sign_in_for(
    hub: &TestHub,
    visitor: &Client,
    scope: &str,
    agrees: impl Fn(&str) -> bool,
) -> (Client, bool) {
    let here = authorize("service-grades", CALLBACK);
    let here = format!("{here}&scope={}", quoted(scope));
    let mut answer = visitor.get(&here).await;
    let asked = answer.status == 200;
    if asked {
        let page = answer.text();
        assert!(page.contains("/services/grades/"), "{page}");
        let mut fields = hidden_fields(&page);
        fields.retain(|(name, value)| name != "scopes" || agrees(value));
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        answer = visitor.post_form(&here, &fields).await;
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

/// RFC 6749, 3.1.2.3 and 4.1.3: a client with one address may leave it out, then and when it comes with
/// the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_names_no_address_is_answered_at_its_own() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(grants, "user", &["self", "access:services"], &[]);
            service(grants, "grades", |made| {
                made.url = Some("http://127.0.0.1:9".into());
                made.no_confirm = true;
            });
        })
        .await;
        let ada = hub.signed_in("ada").await;
        let ask = "/hub/api/oauth2/authorize?client_id=service-grades&response_type=code";
        let code = async || {
            let sent = ada.get(ask).await.expect(302).location().to_owned();
            assert!(sent.starts_with(&format!("{CALLBACK}?code=")), "{sent}");
            query_value(&sent, "code").expect("a code")
        };
        let secret = format!("{SECRET} grades");
        let redeem = async |code: &str, address: Option<&str>| {
            let mut fields = vec![
                ("client_id", "service-grades"),
                ("client_secret", &*secret),
                ("grant_type", "authorization_code"),
                ("code", code),
            ];
            fields.extend(address.map(|address| ("redirect_uri", address)));
            post_plain(&hub.client(), "/hub/api/oauth2/token", &fields).await
        };
        let token = redeem(&code().await, None).await.expect(200).json();
        assert!(token["access_token"].is_string(), "{token}");
        let refused = redeem(&code().await, Some("http://evil.example/")).await;
        assert_eq!(refused.expect(400).json()["error"], "invalid_grant");
        // One that was named is named again, and nothing is no address.
        let named = authorize("service-grades", CALLBACK);
        let sent = ada.get(&named).await.expect(302).location().to_owned();
        let named = query_value(&sent, "code").expect("a code");
        let refused = redeem(&named, None).await.expect(400).json();
        assert_eq!(refused["error"], "invalid_grant");
        ada.get(&authorize("service-grades", "")).await.expect(400);
        let refused = redeem("", None).await.expect(400).json();
        assert_eq!(refused["error"], "invalid_request");
        hub.stop().await;
    }
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

/// Besides what every client gets.
async fn scopes_of(token: &Client) -> Vec<String> {
    let who = token.get("/hub/api/user").await.expect(200).json();
    let all = who["scopes"].as_array().expect("a list").iter();
    let all = all.map(|scope| scope.as_str().expect("text").to_owned());
    let always = ["access:services", "read:users:name", "read:users:groups"];
    all.filter(|scope| !always.iter().any(|one| scope.starts_with(one)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_what_it_asks_for_and_is_agreed_to() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            service(grants, "grades", |service| {
                service.url = Some("http://127.0.0.1:9".into());
                service.allowed_scopes =
                    ScopeSet::parse(["read:users:activity!user", "read:tokens!user", "proxy"])
                        .expect("good");
            });
            let scopes = ["self", "access:services!service=grades"];
            role(grants, "user", &scopes, &[]);
            role(grants, "tokens-of-mine", &["read:tokens!user"], &[]);
        })
        .await;
        let ada = hub.signed_in("ada").await;
        let (activity, tokens) = ("read:users:activity!user=ada", "read:tokens!user=ada");

        // Less than it may have, by the name of a role too.
        let (some, asked) = sign_in_for(&hub, &ada, "read:users:activity!user", |_| true).await;
        assert!(asked);
        assert_eq!(scopes_of(&some).await, [activity]);
        let (same, asked) = sign_in_for(&hub, &ada, "identify", |_| true).await;
        assert!(!asked, "she has agreed to more before");
        assert!(scopes_of(&same).await.is_empty());
        let (by_role, asked) = sign_in_for(&hub, &ada, "identify tokens-of-mine", |_| true).await;
        assert!(asked, "that is more");
        assert_eq!(scopes_of(&by_role).await, [tokens]);

        // She need not agree to all, and what she is not asked for she can't be made to give.
        let (part, _) = sign_in_for(&hub, &ada, "", |scope| !scope.contains("tokens")).await;
        assert_eq!(scopes_of(&part).await, [activity]);
        let ben = hub.signed_in("ben").await;
        let (none, _) = sign_in_for(&hub, &ben, "", |_| false).await;
        assert!(scopes_of(&none).await.is_empty());
        let here = authorize("service-grades", CALLBACK);
        let xsrf = form_token(&ben.get(&here).await.expect(200).text());
        let more = [
            ("_xsrf", xsrf.as_str()),
            ("scopes", "proxy"),
            ("scopes", "inherit"),
        ];
        let code = ben.post_form(&here, &more).await.expect(302);
        let code = query_value(code.location(), "code").expect("a code");
        let token = change(&hub, &code, "service-grades", &format!("{SECRET} grades")).await;
        let token = token.expect(200).json()["access_token"].clone();
        let token = hub.client().with_token(token.as_str().expect("text"));
        assert!(scopes_of(&token).await.is_empty());

        // What it may never have is refused, and the browser goes back with the word for it.
        for scope in [
            "list:users",
            "inherit",
            "no:such",
            "read:tokens",
            "proxy list:users",
            "proxy!server",
            &"proxy ".repeat(201),
        ] {
            let answer = ada.get(&format!("{here}&scope={}", quoted(scope))).await;
            let location = answer.expect(302).location().to_owned();
            assert!(location.starts_with(CALLBACK), "{scope}: {location}");
            let error = query_value(&location, "error");
            assert_eq!(
                error.as_deref(),
                Some("invalid_scope"),
                "{scope}: {location}"
            );
        }

        // What she comes to hold later she is asked for.
        let (before, _) = sign_in(&hub, &ada).await;
        assert_eq!(scopes_of(&before).await, [tokens, activity]);
        reload(&hub, |grants| role(grants, "routes", &["proxy"], &["ada"])).await;
        assert_eq!(scopes_of(&before).await, [tokens, activity]);
        let (after, asked) = sign_in(&hub, &ada).await;
        assert!(asked);
        assert_eq!(scopes_of(&after).await, ["proxy", tokens, activity]);
        // And what she holds no longer, no token of hers does.
        reload(&hub, |grants| role(grants, "routes", &[], &["ada"])).await;
        assert_eq!(scopes_of(&after).await, [tokens, activity]);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_what_is_asked_for_is_given() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
            service.allowed_scopes =
                ScopeSet::parse(["read:users:activity", "inherit"]).expect("good");
        });
        role(grants, "user", &["self", "access:services"], &[]);
    })
    .await;
    let ada = hub.signed_in("ada").await;
    let scope = "read:users:activity";
    let (token, _) = sign_in_for(&hub, &ada, scope, |_| true).await;
    assert_eq!(scopes_of(&token).await, ["read:users:activity!user=ada"]);
    // An administrator by then, she has still agreed to no more.
    reload(&hub, |grants| {
        role(grants, "more", &["read:users:activity"], &["ada"])
    })
    .await;
    assert_eq!(scopes_of(&token).await, ["read:users:activity!user=ada"]);
    // All that she may: said as such, it goes with what she holds.
    let (token, _) = sign_in(&hub, &ada).await;
    let all = scopes_of(&token).await;
    assert!(all.contains(&"read:users:activity".to_owned()), "{all:?}");
    assert!(all.contains(&"tokens!user=ada".to_owned()), "{all:?}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_proof_where_it_is_required() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
        });
        role(grants, "user", &["self", "access:services"], &[]);
        grants.needs_pkce = true;
    })
    .await;
    let ada = hub.signed_in("ada").await;
    let here = authorize("service-grades", CALLBACK);
    let answer = ada.get(&here).await.expect(302);
    let error = query_value(answer.location(), "error");
    assert_eq!(
        error.as_deref(),
        Some("invalid_request"),
        "{}",
        answer.location()
    );
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (method, expect) in [("S256", 200), ("plain", 302)] {
        let pkce = format!("&code_challenge={challenge}&code_challenge_method={method}");
        ada.get(&format!("{here}{pkce}")).await.expect(expect);
    }
    reload(&hub, |grants| grants.needs_pkce = false).await;
    ada.get(&here).await.expect(200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_may_ask_for_more_where_it_is_so_configured() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        let scopes = ["read:users:activity!user", "list:users"];
        grants.server_clients = ScopeSet::parse(scopes).expect("good");
    })
    .await;
    let env = start_server(&hub, "ada").await;
    let told = ["list:users", "read:users:activity!user"];
    assert_eq!(env.client_allowed_scopes, told);
    let ada = hub.signed_in("ada").await;
    let token = oauth_token(&hub, &ada, &env).await;
    let token = hub.client().with_token(&token);
    let who = token.get("/hub/api/user").await.expect(200).json();
    let scopes = who["scopes"].to_string();
    assert!(
        scopes.contains("\"read:users:activity!user=ada\""),
        "{scopes}"
    );
    assert!(!scopes.contains("list:users"), "{scopes}");
    hub.stop().await;
}

/// The configuration takes something from a client: what it was given before goes too.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_may_have_less_has_less_at_once() {
    let db = TestDb::sqlite().await;
    let (activity, tokens) = ("read:users:activity!user", "read:tokens!user");
    let hub = granting(&db, |grants| {
        service(grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
            service.allowed_scopes = ScopeSet::parse([activity, tokens]).expect("good");
        });
        let scopes = ["self", "access:services!service=grades"];
        role(grants, "user", &scopes, &[]);
    })
    .await;
    let ada = hub.signed_in("ada").await;
    let (client, _) = sign_in(&hub, &ada).await;
    let both = ["read:tokens!user=ada", "read:users:activity!user=ada"];
    assert_eq!(scopes_of(&client).await, both);
    let allow = async |scopes: &[&str]| {
        reload(&hub, |grants| {
            let service = grants.services.get_mut("grades").expect("it is there");
            service.allowed_scopes = ScopeSet::parse(scopes).expect("good");
        })
        .await;
    };
    allow(&[activity]).await;
    assert_eq!(scopes_of(&client).await, ["read:users:activity!user=ada"]);
    client.get("/hub/api/users/ada/tokens").await.expect(403);
    // Who she is it is told as ever.
    let who = client.get("/hub/api/user").await.expect(200).json();
    assert_eq!(who["name"], "ada");
    let scopes = who["scopes"].as_array().expect("a list");
    assert!(scopes.contains(&json!("access:services!service=grades")));
    allow(&["inherit"]).await;
    assert_eq!(scopes_of(&client).await, both);
    // A client that is there no more has nothing.
    client.get("/hub/api/users/ada/tokens").await.expect(200);
    let mut tx = db.db().write().await.expect("a transaction");
    let gone = on!(&mut tx, |c| sqlx::query(
        "UPDATE tokens SET oauth_client = 'service-gone' WHERE oauth_client = 'service-grades'"
    )
    .execute(c)
    .await
    .map(|done| done.rows_affected()));
    assert_eq!(gone.expect("written"), 1);
    tx.commit().await.expect("committed");
    client.get("/hub/api/users/ada/tokens").await.expect(403);
    hub.stop().await;
}
