//! Roles, by name and by group; filters for groups; scopes that a site defines.

use std::collections::BTreeMap;

use hyper::Method;
use lyceum_hub::giving;
use lyceum_hub::standing::Standing;
use lyceum_model::scope::{Definition, Vocabulary};
use lyceum_model::who::CourseRole;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::Credential;
use serde_json::{Value, json};

use super::{as_service, delete_json, granting, group, reload, role, service, users};
use crate::kit::{program, start_server};

/// A new token with these scopes, or why not.
pub(super) async fn narrowed(
    hub: &TestHub,
    client: &Client,
    who: &str,
    scopes: &[&str],
) -> Result<Client, u16> {
    let path = format!("/hub/api/users/{who}/tokens");
    let answer = client.post_json(&path, &json!({ "scopes": scopes })).await;
    if answer.status != 201 {
        return Err(answer.status.as_u16());
    }
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    Ok(hub.client().with_token(&token))
}

async fn status(client: &Client, path: &str) -> u16 {
    client.get(path).await.status.as_u16()
}

fn listed(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(|user| user["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_person_and_of_her_groups_hold_at_every_moment() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(grants, "reader", &["read:hub"], &["group:staff"]);
            role(
                grants,
                "lister",
                &["list:users", "read:roles:users"],
                &["ada"],
            );
        })
        .await;
        let (root, ada) = (program(&hub, "root").await, program(&hub, "ada").await);
        let (ben, browser) = (program(&hub, "ben").await, hub.signed_in("ben").await);
        ada.get("/hub/api/users/ben").await.expect(200);
        ada.get("/hub/api/info").await.expect(403);
        ben.get("/hub/api/info").await.expect(403);
        // The group is there since a role names it. What ben held before follows at once.
        let staff = "/hub/api/groups/staff/users";
        root.post_json(staff, &users(&["ben"])).await.expect(200);
        ben.get("/hub/api/info").await.expect(200);
        browser.get("/hub/api/info").await.expect(200);
        let who = ben.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["groups"], json!(["staff"]));
        assert_eq!(
            who["roles"],
            json!(["user"]),
            "a group's role is the group's"
        );
        assert!(who["scopes"].to_string().contains("\"read:hub\""), "{who}");
        let seen = ada.get("/hub/api/users/ada").await.expect(200).json();
        assert_eq!(seen["roles"], json!(["lister", "user"]));
        let seen = ada.get("/hub/api/users/root").await.expect(200).json();
        assert_eq!(seen["roles"], json!(["admin", "user"]));
        assert_eq!(delete_json(&root, staff, &users(&["ben"])).await, 200);
        ben.get("/hub/api/info").await.expect(403);
        browser.get("/hub/api/info").await.expect(403);
        // An edit of the configuration holds for what was given before, too.
        reload(&hub, |grants| {
            grants.roles.remove("lister");
            role(grants, "reader", &["read:hub"], &["ben"]);
        })
        .await;
        ada.get("/hub/api/users/ben").await.expect(404);
        ben.get("/hub/api/info").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_for_a_group_reaches_those_who_are_in_it() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            let scopes = [
                "list:users!group=course",
                "read:users!group=course",
                "servers!group=course",
                "access:servers!group=course",
                "read:groups!group=course",
                "tokens!group=course",
            ];
            role(grants, "tutor", &scopes, &["tess"]);
            group(grants, "course", &["ada"]);
            group(grants, "other", &["ben"]);
        })
        .await;
        let (root, tess) = (program(&hub, "root").await, program(&hub, "tess").await);
        tess.get("/hub/api/users/ada").await.expect(200);
        tess.get("/hub/api/users/ben").await.expect(404);
        tess.get("/hub/api/users/nobody").await.expect(404);
        let list = tess.get("/hub/api/users").await.expect(200).json();
        assert!(listed(&list).contains(&"ada"), "{list}");
        assert!(!listed(&list).contains(&"ben"), "{list}");
        let start = |who: &str| format!("/hub/api/users/{who}/server");
        tess.post_json(&start("ada"), &json!({})).await.expect(201);
        tess.post_json(&start("ben"), &json!({})).await.expect(404);
        start_server(&hub, "ben").await;
        // Through the proxy as well, and in tokens that may do less.
        assert_eq!(status(&tess, "/user/ada/api").await, 200);
        assert_eq!(status(&tess, "/user/ben/api").await, 403);
        let of_ada = narrowed(&hub, &tess, "tess", &["access:servers!user=ada"]).await;
        let of_ada = of_ada.expect("ada is in the course");
        assert_eq!(status(&of_ada, "/user/ada/api").await, 200);
        let of_course = ["read:users!group=course", "access:servers!group=course"];
        let of_course = narrowed(&hub, &tess, "tess", &of_course)
            .await
            .expect("her own");
        assert_eq!(status(&of_course, "/user/ada/api").await, 200);
        for beyond in [
            "access:servers!user=ben",
            "read:users!group=other",
            "read:users",
        ] {
            let answer = narrowed(&hub, &tess, "tess", &[beyond]).await;
            assert_eq!(answer.err(), Some(400), "{beyond}");
        }
        // She makes tokens for whoever is in it, of what both hold.
        let read = ["read:users:activity!user"];
        assert!(narrowed(&hub, &tess, "ada", &read).await.is_ok());
        assert_eq!(narrowed(&hub, &tess, "ben", &read).await.err(), Some(403));
        for beyond in ["tokens!user", "read:groups!group=course"] {
            let answer = narrowed(&hub, &tess, "ada", &[beyond]).await.err();
            let expect = (beyond != "tokens!user").then_some(400);
            assert_eq!(answer, expect, "{beyond}");
        }
        // An administrator's token for the group only.
        let limited = narrowed(&hub, &root, "root", &["access:servers!group=course"]).await;
        let limited = limited.expect("she holds all");
        assert_eq!(status(&limited, "/user/ada/api").await, 200);
        assert_eq!(status(&limited, "/user/ben/api").await, 403);
        // Whoever leaves the group is out of reach at once, also where it was decided before.
        let members = "/hub/api/groups/course/users";
        assert_eq!(delete_json(&root, members, &users(&["ada"])).await, 200);
        for client in [&tess, &of_ada, &of_course, &limited] {
            assert_eq!(status(client, "/user/ada/api").await, 403);
        }
        tess.get("/hub/api/users/ada").await.expect(404);
        of_course.get("/hub/api/users/ada").await.expect(404);
        root.post_json(members, &users(&["ben"])).await.expect(200);
        of_course.get("/hub/api/users/ben").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administration_page_shows_what_its_visitor_may_see() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "guest", &["admin-ui"], &["ben"]);
        let scopes = [
            "admin-ui",
            "list:users!group=course",
            "servers!group=course",
        ];
        role(grants, "tutor", &scopes, &["tess"]);
        group(grants, "course", &["ada"]);
    })
    .await;
    start_server(&hub, "ada").await;
    start_server(&hub, "root").await;
    let page = async |name: &str, path: &str| {
        let page = hub.signed_in(name).await;
        let page = page.get(&format!("/hub/admin{path}")).await;
        page.expect(200).text()
    };
    let row = |name: &str| format!(">{name}<");
    for path in ["/users", "/servers", ""] {
        let seen = page("tess", path).await;
        assert!(!seen.contains("root"), "{path}: {seen}");
        assert!(!seen.contains(&row("ben")), "{path}: {seen}");
        assert_eq!(
            seen.contains(&row("ada")),
            !path.is_empty(),
            "{path}: {seen}"
        );
    }
    for (query, expect) in [("", true), ("?q=AD", true), ("?q=ben", false)] {
        let seen = page("tess", &format!("/users{query}")).await;
        assert_eq!(seen.contains(&row("ada")), expect, "{query}: {seen}");
    }
    for path in ["", "/servers"] {
        let seen = page("ben", path).await;
        for name in ["ada", "root", "tess"] {
            assert!(!seen.contains(&row(name)), "{path}: {seen}");
        }
    }
    hub.signed_in("ben")
        .await
        .get("/hub/admin/users")
        .await
        .expect(403);
    let seen = page("root", "/users").await;
    assert!(
        seen.contains(&row("ben")) && seen.contains(&row("ada")),
        "{seen}"
    );
    hub.signed_in("ada")
        .await
        .get("/hub/admin")
        .await
        .expect(403);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_give_more_than_whoever_gives_it_holds() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "boss", &["admin:servers"], &["grace"]);
        role(grants, "staff", &["read:hub"], &["group:staff"]);
        group(grants, "staff", &["linus"]);
        group(grants, "crew", &["joan"]);
        role(grants, "maker", &["admin:users"], &["tess"]);
    })
    .await;
    let caller = async |who: &str| {
        let name = super::name(who);
        let mut tx = hub.hub.db().read().await.expect("a database");
        let user = lyceum_hub::db::users::find(&mut tx, &name).await;
        let user = user.expect("read").expect("there");
        let standing = Standing::of_user(&hub.hub, &mut tx, &user).await;
        let standing = standing.expect("read");
        let scopes = standing.held().clone();
        let credential = Credential::Session {
            id: String::new(),
            binding: String::new(),
        };
        lyceum_hub::identify::person(user, credential, scopes, standing)
    };
    let (tess, root) = (caller("tess").await, caller("root").await);
    // What courses say counts, by a name and by a group that the configuration puts her into.
    hub.put_in_course("alan", "bio", CourseRole::Teacher);
    hub.put_in_course("group:crew", "bio", CourseRole::Grader);
    hub.put_in_course("mary", "art", CourseRole::Grader);
    hub.put_in_course("tess", "art", CourseRole::Teacher);
    let names = [
        ("newcomer", true),
        ("grace", false),
        ("linus", false),
        ("alan", false),
        ("joan", false),
        ("mary", true),
    ];
    let mut tx = hub.hub.db().read().await.expect("a database");
    for (name, good) in names {
        let name = super::name(name);
        let may = giving::may_name(&hub.hub, &mut tx, &tess, &name).await;
        assert_eq!(may.is_ok(), good, "{name}");
        let may = giving::may_name(&hub.hub, &mut tx, &root, &name).await;
        assert!(may.is_ok(), "{name}");
    }
    drop(tx);
    // By program: neither made nor renamed into it.
    let (tess, root) = (program(&hub, "tess").await, program(&hub, "root").await);
    let refused = tess.post_json("/hub/api/users/alan", &json!({})).await;
    let refused = refused.expect(403).text();
    assert!(refused.contains("names alan as teacher"), "{refused}");
    let to = json!({ "name": "alan" });
    for (who, expect) in [(&tess, 403), (&root, 200)] {
        let headers = [("content-type", "application/json")];
        let body = to.to_string().into();
        let answer = who.send(Method::PATCH, "/hub/api/users/ada", &headers, body);
        answer.await.expect(expect);
    }
    hub.stop().await;
}

/// Each by what a role says alone, not by a token of hers that names the group.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_over_those_who_left_a_group_are_forgotten() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            service(grants, "looks", |_| {});
            let whose = ["tess", "group:helpers", "service:looks"];
            role(grants, "over", &["access:servers!group=course"], &whose);
            group(grants, "course", &["ada"]);
            group(grants, "helpers", &["ben"]);
        })
        .await;
        let root = program(&hub, "root").await;
        let (tess, ben) = (program(&hub, "tess").await, program(&hub, "ben").await);
        let looks = as_service(&hub, "looks");
        start_server(&hub, "ada").await;
        let course = "/hub/api/groups/course";
        let members = format!("{course}/users");
        for leaves in [true, false] {
            for client in [&tess, &ben, &looks] {
                assert_eq!(status(client, "/user/ada/api").await, 200);
            }
            if leaves {
                assert_eq!(delete_json(&root, &members, &users(&["ada"])).await, 200);
            } else {
                root.delete(course).await.expect(204);
            }
            for client in [&tess, &ben, &looks] {
                assert_eq!(status(client, "/user/ada/api").await, 403);
            }
            if leaves {
                root.post_json(&members, &users(&["ada"])).await.expect(200);
                // Refusals are remembered for a second, unless everybody is asked about anew.
                reload(&hub, |grants| {
                    grants.roles.entry("again".into()).or_default();
                })
                .await;
            }
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everybody_may_do_ends_for_everybody() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(grants, "user", &["self", "access:servers!group=shown"], &[]);
            group(grants, "shown", &["ada"]);
        })
        .await;
        let (root, ben) = (program(&hub, "root").await, program(&hub, "ben").await);
        start_server(&hub, "ada").await;
        assert_eq!(status(&ben, "/user/ada/api").await, 200);
        let members = "/hub/api/groups/shown/users";
        assert_eq!(delete_json(&root, members, &users(&["ada"])).await, 200);
        assert_eq!(status(&ben, "/user/ada/api").await, 403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_renamed_into_somebodys_power() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(
                grants,
                "namer",
                &["admin:users", "access:servers!user=zoe"],
                &["ben"],
            );
            let of_course = ["admin:users!group=course"];
            role(grants, "tutor", &of_course, &["tess"]);
            group(grants, "course", &["ada"]);
        })
        .await;
        let (ben, tess) = (program(&hub, "ben").await, program(&hub, "tess").await);
        let rename = async |client: &Client, to: &str| {
            let body = json!({ "name": to }).to_string();
            let json = [("content-type", "application/json")];
            let ada = "/hub/api/users/ada";
            let answer = client
                .send(hyper::Method::PATCH, ada, &json, body.into())
                .await;
            (answer.status.as_u16(), answer.text())
        };
        let (refused, why) = rename(&ben, "zoe").await;
        assert!(
            refused == 403 && why.contains("win power"),
            "{refused} {why}"
        );
        let narrow = narrowed(&hub, &ben, "ben", &["admin:users"]).await;
        assert_eq!(rename(&narrow.expect("a token"), "zoe").await.0, 403);
        // A name is known to courses, lists and accounts: who keeps a group gives none out.
        assert_eq!(rename(&tess, "whoever").await.0, 404);
        assert_eq!(rename(&ben, "yves").await.0, 200);
        hub.stop().await;
    }
}

fn vocabulary(list: &[(&str, &[&str])]) -> Vocabulary {
    let definitions: BTreeMap<String, Definition> = list
        .iter()
        .map(|(name, below)| {
            let definition = Definition {
                description: format!("What {name} is for"),
                subscopes: below.iter().map(|&name| name.into()).collect(),
            };
            ((*name).to_owned(), definition)
        })
        .collect();
    let (vocabulary, problems) = Vocabulary::define(&definitions);
    assert!(problems.is_empty(), "{problems:?}");
    vocabulary
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_defines_scopes_of_its_own() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        grants.vocabulary = vocabulary(&[
            ("custom:grades:write", &["custom:grades:read"]),
            ("custom:grades:read", &[]),
        ]);
        role(
            grants,
            "grader",
            &["custom:grades:write!group=course"],
            &["tess"],
        );
        role(grants, "student", &["custom:grades:read!user"], &["ada"]);
        group(grants, "course", &["ada"]);
    })
    .await;
    let (tess, ada) = (program(&hub, "tess").await, program(&hub, "ada").await);
    let custom = async |client: &Client| {
        let who = client.get("/hub/api/user").await.expect(200).json();
        let scopes = who["scopes"].as_array().expect("a list").clone();
        let custom = scopes.iter().filter_map(|scope| scope.as_str());
        let custom = custom.filter(|scope| scope.starts_with("custom:"));
        custom.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        custom(&tess).await,
        [
            "custom:grades:read!group=course",
            "custom:grades:write!group=course"
        ]
    );
    assert_eq!(custom(&ada).await, ["custom:grades:read!user=ada"]);
    let less = narrowed(&hub, &tess, "tess", &["custom:grades:read!user=ada"]).await;
    let less = less.expect("she holds it for the group");
    assert_eq!(custom(&less).await, ["custom:grades:read!user=ada"]);
    for beyond in [
        "custom:grades:write",
        "custom:grades:none",
        "custom:grades:read!user=ben",
    ] {
        let answer = narrowed(&hub, &ada, "ada", &[beyond]).await;
        assert_eq!(answer.err(), Some(400), "{beyond}");
    }
    // What is defined no longer grants nothing, in tokens either.
    reload(&hub, |grants| {
        grants.vocabulary = Vocabulary::default();
        grants.roles.remove("grader");
        grants.roles.remove("student");
    })
    .await;
    assert!(custom(&less).await.is_empty());
    let less = narrowed(&hub, &tess, "tess", &["custom:grades:read!user=ada"]).await;
    assert_eq!(less.err(), Some(400));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn default_roles_can_be_made_others() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "user", &["self", "read:hub"], &[]);
        role(grants, "token", &["read:users:activity!user"], &[]);
        role(grants, "server", &["access:servers!server"], &[]);
    })
    .await;
    let ada = program(&hub, "ada").await;
    ada.get("/hub/api/info").await.expect(200);
    let made = ada.post_json("/hub/api/users/ada/tokens", &json!({})).await;
    let made = made.expect(201).json();
    let scopes = [
        "read:users:activity!user=ada",
        "read:users:groups!user=ada",
        "read:users:name!user=ada",
    ];
    assert_eq!(made["scopes"], json!(scopes));
    let token = made["token"].as_str().expect("a token");
    let plain = hub.client().with_token(token);
    plain.get("/hub/api/info").await.expect(403);
    // A role for a token is its scopes, and no role gives it more than its owner holds.
    let ask = async |body: Value| ada.post_json("/hub/api/users/ada/tokens", &body).await;
    ask(json!({ "roles": ["user"] })).await.expect(201);
    ask(json!({ "roles": ["admin"] })).await.expect(400);
    ask(json!({ "roles": ["nobodys"] })).await.expect(400);
    let env = start_server(&hub, "ada").await;
    let server = hub.client().with_token(env.api_token.expose());
    let report = json!({ "last_activity": "2026-01-01T00:00:00Z" });
    let activity = "/hub/api/users/ada/activity";
    server.post_json(activity, &report).await.expect(403);
    reload(&hub, |grants| {
        let usual = lyceum_hub::grants::Grants::default();
        grants
            .roles
            .insert("server".into(), usual.roles["server"].clone());
    })
    .await;
    ada.delete("/hub/api/users/ada/server").await.expect(204);
    let env = start_server(&hub, "ada").await;
    let server = hub.client().with_token(env.api_token.expose());
    server.post_json(activity, &report).await.expect(200);
    hub.stop().await;
}
