//! The same over providers of plain OAuth, which sign nothing: what they are asked counts, and nothing
//! that somebody could have written there.

use lyceum_auth::OAuth2;
use lyceum_auth::oauth2::{List, OAuth2Config};
use url::Url;

use super::*;

pub(super) fn config(provider: &FakeProvider) -> OAuth2Config {
    let at = |path: &str| -> Url {
        let url = format!("{}/{path}", provider.issuer());
        url.parse().expect("an address")
    };
    let list = |claim: &str, each: &str| List {
        claim: claim.into(),
        url: at(&format!("user/{claim}")),
        each: NameFrom::parse(each).expect("a good one"),
    };
    OAuth2Config {
        id: String::new(),
        title: "Forge".into(),
        automatic: false,
        authorize_url: at("auth"),
        token_url: at("token"),
        userdata_url: at("user"),
        userdata_by_post: false,
        secret_in_form: false,
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        scopes: vec!["read:user".into()],
        parameters: BTreeMap::new(),
        mark: "id".into(),
        mail_is_verified: false,
        lists: vec![
            list("organizations", "{login}"),
            list("teams", "{organization.login}:{slug}"),
        ],
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("claim:preferred_username").expect("a good one"),
            display_name: "name".into(),
            groups: None,
            groups_only: None,
            allow: Some(everyone()),
            admins: None,
            adopts: Adopts::default(),
        },
        renewing: Some(EVERY),
        by_access_token: false,
        authorities: None,
    }
}

async fn offering(
    db: &TestDb,
    provider: &FakeProvider,
    tune: impl FnOnce(&mut OAuth2Config),
) -> TestHub {
    let hub = TestHub::start(db).await;
    let mut config = config(provider);
    tune(&mut config);
    let way: Arc<dyn Elsewhere> = Arc::new(OAuth2::new(config).expect("a way in"));
    hub.offer(vec![way], People::default()).await;
    hub
}

fn rule(claim: &str, value: &str) -> Rule {
    Rule {
        claims: [(claim.to_owned(), [value.to_owned()].into())].into(),
        ..Rule::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_leads_to_one_account_for_ever() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |config| {
            config.userdata_by_post = true;
        })
        .await;
        let (ada, answer) = log_in(&hub, &provider).await;
        answer.expect(302);
        assert_eq!(user_of(&ada).await["name"], "ada");
        // Renamed there, she is who she was; and who takes the name after her is somebody else.
        provider.log_in(person("1", "ada.king"));
        let (renamed, answer) = log_in(&hub, &provider).await;
        answer.expect(302);
        assert_eq!(user_of(&renamed).await["name"], "ada");
        provider.log_in(person("2", "ada"));
        let (eve, answer) = log_in(&hub, &provider).await;
        let page = answer.expect(403).text();
        assert!(page.contains("belongs to another account"), "{page}");
        assert!(is_out(&eve).await);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_let_nobody_in() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let check = async |what: &str, status: u16| {
        let (client, answer) = log_in(&hub, &provider).await;
        assert_eq!(answer.status, status, "{what}");
        assert!(is_out(&client).await, "{what}");
        let page = answer.text();
        let tells = page.contains(CLIENT_SECRET) || page.contains("access 1");
        assert!(!tells, "{what}");
        provider.as_usual();
    };
    for (twist, status) in [
        (Twist::Away, 503),
        (Twist::Huge, 503),
        (Twist::Redirect, 503),
        (Twist::Html, 503),
        (Twist::NoWithYes, 403),
        (Twist::OtherTokens, 503),
    ] {
        provider.twist(Some(twist));
        check(&format!("{twist:?}"), status).await;
    }
    // Nothing of these could be told from others for ever.
    for mark in [
        json!(null),
        json!(""),
        json!(1.5),
        json!(true),
        json!(["1"]),
        json!("1\n2"),
        json!("x".repeat(5000)),
    ] {
        provider.replace("id", mark.clone());
        check(&format!("the mark {mark:.40}"), 503).await;
    }
    provider.replace("preferred_username", json!("../root"));
    check("a name that can't be", 403).await;
    let (_, good) = log_in(&hub, &provider).await;
    good.expect(302);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_their_own_say_who_may_come() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |config| {
        config.mapping.allow = Some(rule("organizations", "uni"));
        config.mapping.admins = Some(rule("teams", "uni:it"));
        config.mapping.groups = Some("teams".into());
        config.mapping.groups_only = Some(vec!["uni:*".into()]);
    })
    .await;
    let team = |slug: &str| json!({"slug": slug, "organization": {"login": "uni"}});
    provider
        .tell_list("organizations", json!([{"login": "uni-friends"}]))
        .tell_list("teams", json!([]));
    // What she wrote about herself is no list.
    provider.log_in(
        json!({"sub": "1", "preferred_username": "ada", "organizations": "uni", "teams": ["uni:it"]}),
    );
    log_in(&hub, &provider).await.1.expect(403);
    provider.tell_list("organizations", json!([{"login": "x"}, {"login": "uni"}]));
    let (ada, answer) = log_in(&hub, &provider).await;
    answer.expect(302);
    let model = user_of(&ada).await;
    assert_eq!(
        (&model["admin"], &model["groups"]),
        (&json!(false), &json!([]))
    );
    // Whoever likes makes an organisation of her own there.
    let own = json!({"slug": "staff", "organization": {"login": "ada"}});
    provider.tell_list(
        "teams",
        json!([team("it"), team("bio"), own, 7, {"slug": 1}]),
    );
    let (ada, answer) = log_in(&hub, &provider).await;
    answer.expect(302);
    let model = user_of(&ada).await;
    assert_eq!(model["admin"], json!(true));
    assert_eq!(model["groups"], json!(["uni:bio", "uni:it"]));
    // One that can't be asked is not taken for an empty one.
    for broken in [json!({"login": "uni"}), json!("uni")] {
        provider.tell_list("organizations", broken);
        log_in(&hub, &provider).await.1.expect(503);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_counts_where_it_is_vouched_for() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let domain = Rule {
        domains: Some(["example.edu".to_owned()].into()),
        ..Rule::default()
    };
    for (vouched, status) in [(false, 403), (true, 302)] {
        let allow = domain.clone();
        let hub = offering(&db, &provider, |config| {
            config.mapping.allow = Some(allow);
            config.mail_is_verified = vouched;
        })
        .await;
        // That it is so does not become true by being said there.
        provider.log_in(json!({
            "sub": "1", "preferred_username": "ada", "email": "ada@example.edu", "email_verified": true,
        }));
        log_in(&hub, &provider).await.1.expect(status);
        provider
            .log_in(json!({"sub": "2", "preferred_username": "eve", "email": "eve@example.org", "hd": "example.edu"}));
        log_in(&hub, &provider).await.1.expect(403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mark_of_two_claims_or_sites_is_two_people() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.log_in(json!({"sub": "1", "preferred_username": "ada", "number": "1"}));
    let hub = offering(&db, &provider, |_| {}).await;
    log_in(&hub, &provider).await.1.expect(302);
    hub.stop().await;
    let hub = offering(&db, &provider, |config| config.mark = "number".into()).await;
    log_in(&hub, &provider).await.1.expect(403);
    hub.stop().await;
    let below = |config: &mut OAuth2Config| {
        let userinfo = format!("{}/userinfo", provider.issuer());
        config.userdata_url = userinfo.parse().expect("an address");
        config.mark = "sub".into();
    };
    provider.tell_in_userinfo(json!({"preferred_username": "ada"}));
    let hub = offering(&db, &provider, below).await;
    log_in(&hub, &provider).await.1.expect(403);
    hub.stop().await;
    let other = FakeProvider::start().await;
    let hub = offering(&db, &other, |_| {}).await;
    log_in(&hub, &other).await.1.expect(403);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_mail_says_a_domain_only_where_it_is_vouched_for() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    for (vouched, key, status) in [
        (false, "email", 403),
        (false, "E-Mail", 403),
        (true, "email", 302),
    ] {
        let person =
            json!({"sub": "1", "preferred_username": "ada", "data": {key: "ada@example.edu"}});
        provider.log_in(person);
        let hub = offering(&db, &provider, |config| {
            config.mail_is_verified = vouched;
            config.mapping.allow = Some(Rule {
                domains: Some(["example.edu".to_owned()].into()),
                domain_of: Some(format!("data.{key}")),
                ..Rule::default()
            });
        })
        .await;
        log_in(&hub, &provider).await.1.expect(status);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_is_who_was_asked() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    for (issuer, status) in [
        ("https://evil.example".to_owned(), 403),
        ("no address".to_owned(), 403),
        (provider.issuer(), 302),
    ] {
        let client = hub.client();
        let query = go_out(&client, &provider, "/hub/oauth_login").await;
        let coded: String = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
        let answer = come_back(&client, &format!("{query}&iss={coded}")).await;
        assert_eq!(answer.status, status, "{issuer}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_are_made_up_are_slowed_down() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let mut refused = false;
    for _ in 0..2_000 {
        let client = hub.client();
        let query = go_out(&client, &provider, "/hub/oauth_login").await;
        let made_up = query.replace("code=code", "code=made");
        assert_ne!(made_up, query);
        if come_back(&client, &made_up).await.status == 429 {
            refused = true;
            break;
        }
    }
    assert!(refused);
    hub.stop().await;
}
