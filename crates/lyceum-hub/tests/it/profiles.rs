//! What people choose before a start: by program, by page, and through a site's template.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use lyceum_hub::profiles::{Choice, Override, Pattern, Profile, ProfileOption, Profiles, Unlisted};
use lyceum_hub::{Settings, db};
use lyceum_model::environment::{Said, Setting};
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::server::ServerSpec;
use lyceum_model::who::{CourseRole, Forms, Who};
use lyceum_store::on;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::page::{SiteFiles, SiteSettings, SiteTemplates, Theme};
use serde_json::{Value, json};

use crate::kit::{program, send_json};

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

fn image(name: &str) -> Vec<Said> {
    vec![Said::new("x", Setting::Image(name.into()))]
}

fn who(text: &str) -> Option<Vec<Who>> {
    Some(vec![Who::parse(text, Forms::All).expect("good")])
}

fn choice(name: &str) -> Choice {
    Choice {
        name: name.into(),
        title: format!("Version <{name}>"),
        said: image(name),
        ..Choice::default()
    }
}

/// One for all, one to choose in, one for a group, one for a course that all are in, one for nobody.
fn profiles() -> Profiles {
    let plain = |slug: &str, audience: Option<Vec<Who>>| Profile {
        slug: slug.into(),
        title: format!("The {slug} one"),
        audience,
        said: image(slug),
        ..Profile::default()
    };
    let unlisted = Unlisted {
        title: Some("Your image".into()),
        pattern: Some(Pattern::parse("^team/[a-z]+$").expect("good")),
        message: Some("Only images of the team".into()),
        overrides: vec![Override {
            name: "image".into(),
            value: json!("registry/{value}"),
            path: "x".into(),
        }],
        ..Unlisted::default()
    };
    let tags = Profile {
        description: Some("For <b>experts</b>".into()),
        options: vec![ProfileOption {
            name: "tag".into(),
            title: "Tag".into(),
            choices: vec![choice("new"), choice("old")],
            unlisted: Some(unlisted),
        }],
        ..plain("tags", None)
    };
    Profiles(vec![
        plain("small", None),
        tags,
        plain("gpu", who("group:gpu")),
        plain("lecture", who("course:signals/student")),
        plain("secret", who("role:keeper-of-secrets")),
    ])
}

async fn hub(db: &TestDb, tune: impl FnOnce(&mut Settings)) -> TestHub {
    let tune = |settings: &mut Settings, _: &mut _| {
        settings.profiles = profiles();
        tune(settings);
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let hub = hub.with_user("ada").await.with_user("ben").await;
    let hub = hub.with_admin("root").await;
    for name in ["ada", "ben", "root"] {
        hub.put_in_course(name, "signals", CourseRole::Student);
    }
    let root = program(&hub, "root").await;
    let members = json!({ "users": ["ada"] });
    root.post_json("/hub/api/groups/gpu", &members)
        .await
        .expect(201);
    hub
}

fn last_order(hub: &TestHub) -> ServerSpec {
    let orders = hub.spawner.orders();
    orders.last().expect("an order").spec.clone()
}

async fn start(client: &Client, name: &str, options: Value) -> Answer {
    let path = format!("/hub/api/users/{name}/server");
    client.post_json(&path, &options).await
}

async fn stop(client: &Client, name: &str) {
    let path = format!("/hub/api/users/{name}/server");
    client.delete(&path).await.expect(204);
}

/// Waits until the default server of this person is ready.
async fn until_ready(client: &Client, name: &str) {
    let path = format!("/hub/api/users/{name}");
    let ready = async {
        while client.get(&path).await.expect(200).json()["servers"][""]["ready"] != true {
            tokio::task::yield_now().await;
        }
    };
    let ready = tokio::time::timeout(LONG, ready).await;
    ready.expect("the server becomes ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_starts_what_is_its_owners_and_hears_nothing_of_the_rest() {
    for db in TestDb::both().await {
        let hub = hub(&db, |_| {}).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let list = async |client: &Client| client.get("/hub/api/lyceum/profiles").await.json();
        let slugs = |list: &Value| -> Vec<String> {
            let profiles = list["profiles"].as_array().expect("a list").iter();
            profiles
                .map(|one| one["slug"].as_str().expect("a slug").to_owned())
                .collect()
        };
        let hers = list(&ada).await;
        assert_eq!(slugs(&hers), ["small", "tags", "gpu", "lecture"]);
        assert_eq!(slugs(&list(&ben).await), ["small", "tags", "lecture"]);
        assert_eq!(
            hers["profiles"][1],
            json!({
                "slug": "tags",
                "display_name": "The tags one",
                "description": "For <b>experts</b>",
                "default": false,
                "options": [{
                    "name": "tag",
                    "display_name": "Tag",
                    "choices": [
                        { "name": "new", "display_name": "Version <new>", "default": true },
                        { "name": "old", "display_name": "Version <old>", "default": false },
                    ],
                    "unlisted_choice": {
                        "display_name": "Your image",
                        "validation_message": "Only images of the team",
                    },
                }],
            })
        );
        for (options, expect, profile) in [
            (json!({}), "small", "small"),
            (json!({ "profile": "gpu" }), "gpu", "gpu"),
            (
                json!({ "profile": "lecture", "whatever": 1 }),
                "lecture",
                "lecture",
            ),
            (json!({ "profile": "tags" }), "new", "tags"),
            (json!({ "profile": "tags", "tag": "old" }), "old", "tags"),
            (
                json!({ "user_options": {
                    "profile": "tags", "tag--unlisted-choice": "team/lab",
                } }),
                "registry/team/lab",
                "tags",
            ),
        ] {
            start(&ada, "ada", options.clone()).await.expect(201);
            let spec = last_order(&hub);
            assert_eq!(spec.image.as_deref(), Some(expect), "{options}");
            assert_eq!(spec.profile.as_deref(), Some(profile), "{options}");
            stop(&ada, "ada").await;
        }
        // Without a word: what was chosen the last time.
        start(&ada, "ada", Value::Null).await.expect(201);
        assert_eq!(last_order(&hub).image.as_deref(), Some("registry/team/lab"));
        stop(&ada, "ada").await;

        let before = hub.spawner.orders().len();
        let refused = async |options: Value| {
            let answer = start(&ben, "ben", options).await.expect(400);
            answer.json()["message"].as_str().expect("words").to_owned()
        };
        let unknown = refused(json!({ "profile": "there-is-none" })).await;
        for slug in ["gpu", "secret", "GPU", "small "] {
            assert_eq!(refused(json!({ "profile": slug })).await, unknown);
        }
        let tags = |key: &str, value: Value| json!({ "profile": "tags", key: value });
        for (options, words) in [
            (tags("tag", json!("older")), "Tag: there is no such choice"),
            (tags("tag", json!(["old"])), "\"tag\" must be text"),
            (
                tags("tag--unlisted-choice", json!("x/team/lab")),
                "Only images of the team",
            ),
            (
                tags("tag--unlisted-choice", json!("team/lab\nx")),
                "Tag: at most",
            ),
            (
                tags("tag--unlisted-choice", json!("x".repeat(5000))),
                "Tag: at most",
            ),
        ] {
            let said = refused(options.clone()).await;
            assert!(said.contains(words), "{options}: {said}");
        }
        // Who may start somebody's server starts what that person may.
        let root = program(&hub, "root").await;
        start(&root, "ben", json!({ "profile": "gpu" }))
            .await
            .expect(400);
        assert_eq!(hub.spawner.orders().len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_and_says_what_is_wrong_where_it_is() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db, |_| {}).await;
    let (browser, ada) = (hub.signed_in("ada").await, program(&hub, "ada").await);
    let page = browser.get("/hub/spawn").await.expect(200).text();
    for has in [
        "name=\"profile\" value=\"small\" checked>",
        "name=\"profile\" value=\"gpu\">",
        "name=\"profile-option-tags--tag\"",
        "name=\"profile-option-tags--tag--unlisted-choice\"",
        "For &lt;b&gt;experts&lt;/b&gt;",
        "<option value=\"new\" selected>Version &lt;new&gt;</option>",
        "action=\"/hub/spawn/ada\"",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    assert!(!page.contains("secret"), "{page}");
    let bens = hub.signed_in("ben").await.get("/hub/spawn").await;
    assert!(!bens.expect(200).text().contains("gpu"));
    assert!(hub.spawner.orders().is_empty());

    // All fields, as a browser without script posts them.
    let fields = |tag: &'static str, own: &'static str| {
        [
            ("profile", "tags"),
            ("profile-option-tags--tag", tag),
            ("profile-option-tags--tag--unlisted-choice", own),
        ]
    };
    let path = "/hub/spawn/ada?next=%2Fuser%2Fada%2Ftree";
    let wrong = fields("unlisted-choice", "evil/\"><script>");
    let page = browser.post_form(path, &wrong).await.expect(400).text();
    for has in [
        "name=\"profile\" value=\"tags\" checked",
        "<option value=\"unlisted-choice\" selected>",
        "value=\"evil/&quot;&gt;&lt;script&gt;\"",
        "aria-invalid=\"true\"",
        "Only images of the team",
        "action=\"/hub/spawn/ada?next=%2Fuser%2Fada%2Ftree\"",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    // Said once, at the field; the line above leads there.
    assert_eq!(page.matches("Only images of the team").count(), 1, "{page}");
    let (_, link) = page.split_once("href=\"#profile-").expect("a link");
    let field = link.split('"').next().expect("its end");
    assert!(page.contains(&format!("<input id=\"profile-{field}\"")));
    assert!(field.ends_with("-own"), "{field}");
    let hidden = browser.post_form(path, &[("profile", "secret")]).await;
    let hidden = hidden.expect(400).text();
    assert_eq!(hidden.matches("There is no such choice").count(), 1);
    assert!(hidden.contains("href=\"#profile-1\""), "{hidden}");
    assert!(!hidden.contains("secret"), "{hidden}");
    assert!(hub.spawner.orders().is_empty());

    let good = fields("unlisted-choice", " team/lab ");
    let answer = browser.post_form(path, &good).await.expect(302);
    assert_eq!(
        answer.location(),
        "/hub/spawn-pending/ada?next=%2Fuser%2Fada%2Ftree"
    );
    until_ready(&ada, "ada").await;
    assert_eq!(last_order(&hub).image.as_deref(), Some("registry/team/lab"));
    // It runs: there is nothing to ask.
    let answer = browser.get("/hub/spawn").await.expect(302);
    assert_eq!(answer.location(), "/hub/spawn-pending/ada");
    stop(&ada, "ada").await;

    // What was chosen stands there the next time.
    let page = browser.get("/hub/spawn").await.expect(200).text();
    for has in [
        "name=\"profile\" value=\"tags\" checked",
        "<option value=\"unlisted-choice\" selected>",
        "value=\"team/lab\"",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    // A listed choice counts, whatever is in the other field.
    let answer = browser.post_form("/hub/spawn", &fields("old", "x")).await;
    answer.expect(302);
    until_ready(&ada, "ada").await;
    assert_eq!(last_order(&hub).image.as_deref(), Some("old"));
    stop(&ada, "ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buttons_and_links_lead_to_the_page_or_choose() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db, |_| {}).await;
    let (browser, ada) = (hub.signed_in("ada").await, program(&hub, "ada").await);
    let to = async |path: &str, fields: &[(&str, &str)]| {
        let answer = browser.post_form(path, fields).await.expect(302);
        answer.location().to_owned()
    };
    let own = [("user", "ada"), ("server", ""), ("next", "/hub/home")];
    assert_eq!(
        to("/hub/servers/start", &own).await,
        "/hub/spawn/ada?next=%2Fhub%2Fhome"
    );
    assert_eq!(
        to("/hub/servers/add", &[("server", "big")]).await,
        "/hub/spawn/ada/big"
    );
    let page = browser.get("/hub/spawn/ada/big").await.expect(200).text();
    assert!(page.contains("action=\"/hub/spawn/ada/big\""), "{page}");
    assert!(hub.spawner.orders().is_empty());

    // JupyterHub's links that start at once.
    for link in [
        "/hub/spawn?profile=tags&profile-option-tags--tag=old",
        "/hub/spawn/ada?opt-profile=tags&opt-profile-option-tags--tag=old&profile=gpu",
    ] {
        browser.get(link).await.expect(302);
        until_ready(&ada, "ada").await;
        assert_eq!(last_order(&hub).image.as_deref(), Some("old"), "{link}");
        let home = browser.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Environment: The tags one"), "{home}");
        stop(&ada, "ada").await;
    }
    let orders = hub.spawner.orders().len();
    let page = browser.get("/hub/spawn?profile=secret").await.expect(400);
    assert!(page.text().contains("There is no such choice"));
    // Planted on another site it starts nothing.
    let planted = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let follow = async |link: &str| {
        let answer = browser.send(Method::GET, link, &planted, Vec::new().into());
        answer.await
    };
    // The page asks, with what the link names chosen already.
    let page = follow("/hub/spawn?profile=gpu").await.expect(200).text();
    assert!(page.contains("value=\"gpu\" checked>"), "{page}");
    let page = follow("/hub/spawn?profile=secret").await.expect(200).text();
    assert!(!page.contains("secret"), "{page}");
    assert_eq!(
        follow("/hub/spawn").await.expect(302).location(),
        "/hub/user/ada/"
    );
    // What is to be typed nobody types for her, wherever the link is.
    let typed = "/hub/spawn?profile=tags&profile-option-tags--tag--unlisted-choice=lab/x";
    let page = browser.get(typed).await.expect(200).text();
    assert!(!page.contains("lab/x"), "{page}");
    assert_eq!(follow(typed).await.expect(302).location(), "/hub/user/ada/");
    // A form without its token is no form of ours.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = browser
        .send(Method::POST, "/hub/spawn", &form, "profile=gpu".into())
        .await;
    answer.expect(403);
    assert_eq!(hub.spawner.orders().len(), orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_one_way_nobody_is_asked_and_where_there_is_none_it_is_said() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db, |settings| {
        settings.profiles.0.drain(..2).for_each(drop)
    })
    .await;
    let ben = program(&hub, "ben").await;
    let browser = hub.signed_in("ben").await;
    browser.get("/hub/spawn").await.expect(302);
    until_ready(&ben, "ben").await;
    assert_eq!(last_order(&hub).profile.as_deref(), Some("lecture"));
    stop(&ben, "ben").await;

    // The course is over, and with it what was chosen for it.
    let mut settings = (*hub.hub.settings()).clone();
    settings.profiles.0.retain(|one| one.slug == "gpu");
    hub.hub.reload(settings).await;
    assert_eq!(
        ben.get("/hub/api/lyceum/profiles").await.expect(200).json(),
        json!({ "profiles": [] })
    );
    let orders = hub.spawner.orders().len();
    let answer = start(&ben, "ben", json!({})).await.expect(403).json();
    let said = "There is nothing here that you may start; ask an administrator";
    assert_eq!(answer["message"], said);
    let page = browser.get("/hub/spawn").await.expect(400).text();
    assert!(page.contains(said), "{page}");
    assert_eq!(hub.spawner.orders().len(), orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_that_was_taken_away_is_asked_for_anew() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db, |_| {}).await;
    let (browser, ada) = (hub.signed_in("ada").await, program(&hub, "ada").await);
    start(&ada, "ada", json!({ "profile": "gpu" }))
        .await
        .expect(201);
    stop(&ada, "ada").await;
    let root = program(&hub, "root").await;
    root.delete("/hub/api/groups/gpu").await.expect(204);
    let page = browser.get("/hub/spawn").await.expect(200).text();
    assert!(page.contains("value=\"small\" checked>"), "{page}");
    assert!(!page.contains("gpu"), "{page}");
    // A program that names it is refused; one that names nothing, or an administrator, gets the usual.
    let answer = start(&ada, "ada", json!({ "profile": "gpu" })).await;
    let answer = answer.expect(400).json();
    let said = answer["message"].as_str().expect("words");
    assert!(said.contains("no such choice"), "{said}");
    start(&root, "ada", Value::Null).await.expect(201);
    let row = ada.get("/hub/api/users/ada").await.expect(200).json();
    assert_eq!(row["servers"][""]["user_options"], json!({}), "{row}");
    let mut tx = hub.hub.db().read().await.expect("a transaction");
    let name = UserName::parse("ada").expect("good");
    let owner = db::users::find(&mut tx, &name).await.expect("read");
    let owner = owner.expect("there");
    let row = db::servers::find(&mut tx, &owner.id, &ServerName::default()).await;
    let row = row.expect("read").expect("there");
    let steps = db::servers::steps(&mut tx, &row.id, row.generation, 0).await;
    let steps = steps.expect("read");
    let told = steps
        .iter()
        .any(|step| step.message.contains("not offered any more"));
    assert!(told, "the progress says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_she_chose_stays_until_she_chooses_anew() {
    for db in TestDb::both().await {
        let hub = hub(&db, |_| {}).await;
        let (browser, ada) = (hub.signed_in("ada").await, program(&hub, "ada").await);
        let root = program(&hub, "root").await;
        let rejoin = async || {
            let members = json!({ "users": ["ada"] });
            root.post_json("/hub/api/groups/gpu", &members)
                .await
                .expect(201);
        };
        let leave = async || {
            root.delete("/hub/api/groups/gpu").await.expect(204);
        };
        let started = async |options: Value| {
            start(&ada, "ada", options).await.expect(201);
            stop(&ada, "ada").await;
            last_order(&hub).profile
        };
        let profile = |name: &str| Some(name.to_owned());
        assert_eq!(started(json!({ "profile": "gpu" })).await, profile("gpu"));
        // A start that says nothing, as often as it comes, takes the usual for what is not offered.
        leave().await;
        for _ in 0..2 {
            assert_eq!(started(Value::Null).await, profile("small"));
            let row = ada.get("/hub/api/users/ada?include_stopped_servers").await;
            let row = row.expect(200).json();
            assert_eq!(row["servers"][""]["user_options"], json!({}), "{row}");
        }
        // Nor does the button, where there is one way only and nobody is asked.
        let all = hub.hub.settings();
        let mut settings = (*all).clone();
        settings.profiles.0.truncate(1);
        hub.hub.reload(settings).await;
        browser
            .post_form("/hub/servers/start", &[])
            .await
            .expect(302);
        until_ready(&ada, "ada").await;
        stop(&ada, "ada").await;
        // Another name or title is no choice.
        let path = "/hub/api/users/ada/server";
        let title = json!({ "display_name": "Mine" });
        send_json(&ada, Method::PATCH, path, &title)
            .await
            .expect(200);
        hub.hub.reload((*all).clone()).await;
        rejoin().await;
        let page = browser.get("/hub/spawn").await.expect(200).text();
        assert!(page.contains("value=\"gpu\" checked>"), "{page}");
        assert_eq!(started(Value::Null).await, profile("gpu"));

        // What she chooses meanwhile counts, also when that is the usual.
        for choice in ["start", "patch"] {
            assert_eq!(started(json!({ "profile": "gpu" })).await, profile("gpu"));
            leave().await;
            assert_eq!(started(Value::Null).await, profile("small"));
            let none = json!({ "user_options": {} });
            match choice {
                "start" => assert_eq!(started(none).await, profile("small")),
                _ => drop(
                    send_json(&ada, Method::PATCH, path, &none)
                        .await
                        .expect(200),
                ),
            }
            rejoin().await;
            assert_eq!(started(Value::Null).await, profile("small"), "{choice}");
        }

        // A program from before wrote her choice where it always stood.
        assert_eq!(started(json!({ "profile": "gpu" })).await, profile("gpu"));
        leave().await;
        assert_eq!(started(Value::Null).await, profile("small"));
        rejoin().await;
        let mut tx = db.db().write().await.expect("a transaction");
        on!(tx, |c| sqlx::query(
            "UPDATE servers SET user_options = '{\"profile\":\"tags\"}'"
        )
        .execute(c)
        .await
        .map(|_| ()))
        .expect("written");
        tx.commit().await.expect("committed");
        assert_eq!(started(Value::Null).await, profile("tags"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_template_has_jupyterhubs_words() {
    const TEMPLATE: &str = r#"{% extends "page.html" %}
{% block main %}
<h1>{{ spawner.name or "default" }} of {{ for_user.name }}</h1>
{% if user.name != for_user.name %}<p>not yours</p>{% endif %}
{% if error_message %}<p class="mine">Error: {{ error_message }}</p>{% endif %}
<form enctype="multipart/form-data" id="spawn_form" action="{{ url }}" method="post" role="form">
{{ spawner_options_form | safe }}
<button>Go</button>
</form>
{% endblock %}"#;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("spawn.html"), TEMPLATE).expect("written");
    let (files, problems) = SiteFiles::read(&[folder.path().to_owned()]);
    assert_eq!(problems, []);
    let pages = lyceum_hub::pages::templates().build().expect("good");
    let site = SiteSettings {
        files,
        ..SiteSettings::default()
    };
    let site = SiteTemplates::new(&pages, site, None);
    assert_eq!(site.problems(), []);
    let db = TestDb::sqlite().await;
    let theme = Theme::default().with_site(Some(Arc::new(site)));
    let hub = hub(&db, |settings| settings.theme = theme).await;
    let browser = hub.signed_in("ada").await;
    let page = browser.get("/hub/spawn").await.expect(200).text();
    for has in [
        "<h1>default of ada</h1>",
        "data-enctype=\"multipart/form-data\"",
        "action=\"/hub/spawn/ada\"",
        "name=\"_xsrf\"",
        "name=\"profile\" value=\"small\" checked>",
        "For &lt;b&gt;experts&lt;/b&gt;",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    assert!(!page.contains("not yours"), "{page}");
    let page = browser
        .post_form("/hub/spawn/ada", &[("profile", "x")])
        .await;
    let page = page.expect(400).text();
    assert!(
        page.contains("<p class=\"mine\">Error: There is no such choice"),
        "{page}"
    );
    let root = hub.signed_in("root").await;
    let page = root.get("/hub/spawn/ada").await.expect(200).text();
    assert!(page.contains("<p>not yours</p>"), "{page}");
}

/// What a thousand links and forms could do to the page.
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_made_are_of_no_concern() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db, |_| {}).await;
    let browser = hub.signed_in("ada").await;
    let long = "x".repeat(3000);
    for (name, value) in [
        ("profile", long.as_str()),
        ("profile", "\0"),
        ("profile", "small\r\nSet-Cookie: x=y"),
        ("profile", "../small"),
    ] {
        let answer = browser.post_form("/hub/spawn", &[(name, value)]).await;
        let page = answer.expect(400).text();
        assert!(page.contains("There is no such choice"), "{page}");
        assert!(!page.contains(&long), "{page}");
    }
    assert!(hub.spawner.orders().is_empty());
}
