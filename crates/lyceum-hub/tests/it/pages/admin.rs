//! The area of administrators: its lists, what is done there, and by whom.

use hyper::Method;
use lyceum_hub::db;
use lyceum_hub::servers::State;
use lyceum_model::clock::Clock;
use lyceum_model::server::ServerKey;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use crate::grants::{granting, group, role, service};
use crate::kit::{Socket, add_people, form_token, program, start_server};
use crate::servers::{row, until_state};

/// Who tries again with success takes her failure out of nobody's sight, and a server that was killed
/// while it ran is one as well.
#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_last_day_outlive_the_next_start() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let hub = TestHub::start_tuned_at(
            db.db().clone(),
            spawner.clone(),
            clock.clone(),
            |_, timings| {
                timings.watch_every = std::time::Duration::from_millis(100);
            },
        );
        let hub = hub.await.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_admin("root").await;
        spawner.behave(Behaviour::NotFound);
        let ada = program(&hub, "ada").await;
        let server = "/hub/api/users/ada/server";
        ada.post_json(server, &json!({})).await.expect(500);
        spawner.behave(Behaviour::Good);
        start_server(&hub, "ada").await;
        start_server(&hub, "ben").await;
        let bens = row(db.db(), "ben", "").await.expect("a row").key;
        let bens = ServerKey::parse(&bens).expect("a key");
        spawner.crash(&bens, "ran out of memory");
        until_state(db.db(), "ben", State::Stopped).await;
        start_server(&hub, "ben").await;
        let root = hub.signed_in("root").await;
        for path in ["/hub/admin", "/hub/admin/activity"] {
            let text = page(&root, path).await;
            assert!(text.contains("no-such-program"), "{path}: {text}");
            assert!(text.contains("ran out of memory"), "{path}: {text}");
        }
        clock.advance(25 * 3_600_000);
        let root = hub.signed_in("root").await;
        let text = page(&root, "/hub/admin/activity").await;
        assert!(text.contains("No server failed."), "{text}");
        let count = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let count = db::search::failures::count(&mut tx, None, 0).await;
            count.expect("read")
        };
        assert_eq!(count().await, 2);
        let mut tx = db.db().write().await.expect("a transaction");
        let pruned = db::failures::prune(&mut tx, clock.now()).await;
        pruned.expect("pruned");
        tx.commit().await.expect("written");
        assert_eq!(count().await, 0);
        hub.stop().await;
    }
}

/// A page of the area, as this browser sees it.
async fn page(client: &Client, path: &str) -> String {
    client.get(path).await.expect(200).text()
}

/// The people that a list shows, in its order.
fn people(page: &str) -> Vec<String> {
    let links = page.split("<a href=\"/hub/admin/user/").skip(1);
    let names = links.filter_map(|rest| rest.split_once('>')?.1.split_once("</a>"));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// What a form leads to: done, and for how many.
async fn done(client: &Client, path: &str, fields: &[(&str, &str)], expect: &str) {
    let answer = client.post_form(path, fields).await.expect(302);
    assert!(answer.location().contains(expect), "{}", answer.location());
    client.get(answer.location()).await.expect(200);
}

fn name(text: &str) -> lyceum_model::name::UserName {
    crate::grants::name(text)
}

async fn user(hub: &TestHub, who: &str) -> Option<db::users::User> {
    let mut tx = hub.hub.db().read().await.expect("a database");
    db::users::find(&mut tx, &name(who)).await.expect("read")
}

/// All that forms can change, as one text.
async fn state(hub: &TestHub) -> String {
    let mut tx = hub.hub.db().read().await.expect("a database");
    let mut text = String::new();
    let search = db::users::Search::default();
    let users = search.page(&mut tx, db::users::Sort::Name, 0, 1000).await;
    for user in users.expect("read") {
        text.push_str(&format!(
            "{} {} {:?}\n",
            user.name, user.admin, user.blocked_at
        ));
        for server in db::servers::of_user(&mut tx, &user.id).await.expect("read") {
            text.push_str(&format!(
                "  {} {} {:?}\n",
                server.name, server.state, server.display_name
            ));
        }
        for token in db::tokens::of_user(&mut tx, &user.id, 0)
            .await
            .expect("read")
        {
            text.push_str(&format!("  {}\n", token.id));
        }
        let sessions = db::sessions::of_user(&mut tx, &user.id, 0).await;
        for session in sessions.expect("read") {
            text.push_str(&format!("  {}\n", session.id));
        }
    }
    for group in db::groups::list(&mut tx, 0, 1000).await.expect("read") {
        let members = db::groups::members(&mut tx, &group.name).await;
        text.push_str(&format!("{} {:?}\n", group.name, members.expect("read")));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_searched_sorted_and_read_in_pages() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let names: Vec<String> = (0..120).map(|at| format!("student{at:03}")).collect();
        add_people(&hub, &names).await;
        start_server(&hub, "student007").await;
        let root = hub.signed_in("root").await;
        let seen = page(&root, "/hub/admin/users").await;
        assert_eq!(people(&seen).len(), 50);
        assert_eq!(people(&seen)[..2], ["root", "student000"]);
        assert!(seen.contains("1 to 50 of 121"), "{seen}");
        for (query, expect) in [
            ("?q=STUDENT11&limit=3", "student110 student111 student112"),
            ("?q=student11&sort=-name&limit=2", "student119 student118"),
            ("?sort=-running&limit=2", "student007 root"),
            ("?sort=running&limit=200&offset=120", "student007"),
            ("?sort=-running&limit=2&offset=1", "root student000"),
            ("?sort=-created&limit=1", "student119"),
            ("?state=active", "student007"),
            ("?state=ready&sort=-running", "student007"),
            ("?role=admin", "root"),
            ("?role=blocked", ""),
            // What makes no sense is as good as not said; behind the end is the last page.
            ("?offset=999999999999&limit=100&q=student", "student100"),
            ("?offset=-5&limit=1", "root"),
            ("?sort=evil%27--&state=odd&role=%00&limit=1", "root"),
            ("?q=nobody%25_", ""),
        ] {
            let seen = page(&root, &format!("/hub/admin/users{query}")).await;
            let found = people(&seen).join(" ");
            match query.contains("offset=9999") {
                true => assert!(found.starts_with(expect), "{query}: {found}"),
                false => assert_eq!(found, expect, "{query}"),
            }
        }
        let evil = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E".repeat(9);
        let seen = page(&root, &format!("/hub/admin/users?q={evil}&sort={evil}")).await;
        assert!(!seen.contains("<script>alert"), "{seen}");
        for bad in ["offset=x", "limit=1.5", "offset=99999999999999999999"] {
            root.get(&format!("/hub/admin/users?{bad}"))
                .await
                .expect(400);
        }
        // The whole list, in more than one piece.
        let more: Vec<String> = (0..500).map(|at| format!("pupil{at:03}")).collect();
        add_people(&hub, &more).await;
        let file = root.get("/hub/admin/users.csv").await.expect(200);
        assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
        assert_eq!(file.text().lines().count(), 622);
        let file = root
            .get("/hub/admin/users.csv?q=student00&sort=-name")
            .await;
        let lines: Vec<String> = file.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 11);
        assert!(lines[8].starts_with("\"student007\",\"\",\"no\",\"no\",\"20"));
        assert!(lines[8].ends_with(",\"1\""), "{}", lines[8]);
        hub.stop().await;
    }
}

/// A piece of the file is five hundred people; who is in no group stands between those who are.
#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_large_group_are_all_in_its_file() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let members: Vec<String> = (0..600).map(|at| format!("student{at:03}")).collect();
        let others: Vec<String> = (0..600).map(|at| format!("student{at:03}b")).collect();
        add_people(&hub, &members).await;
        add_people(&hub, &others).await;
        let mut tx = db.db().write().await.expect("a transaction");
        let now = hub.hub.now();
        let made = db::groups::ensure(&mut tx, "course", now).await;
        assert!(made.expect("written"));
        for member in &members {
            let user = lyceum_hub::users::ensure(&mut tx, &name(member), now).await;
            let id = user.expect("there").id;
            let put = db::groups::add_member(&mut tx, "course", &id).await;
            assert!(put.expect("written"));
        }
        tx.commit().await.expect("written");
        let root = hub.signed_in("root").await;
        let named = async |path: &str| -> Vec<String> {
            let file = root.get(path).await.expect(200).text();
            let lines = file.lines().skip(1);
            let names = lines.map(|line| line.split('"').nth(1).unwrap_or_default().to_owned());
            names.collect()
        };
        assert_eq!(named("/hub/admin/group.csv?name=course").await, members);
        let some = named("/hub/admin/group.csv?name=course&q=student05").await;
        assert_eq!(some, members[50..60]);
        assert_eq!(named("/hub/admin/users.csv").await.len(), 1201);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_made_kept_out_renamed_and_deleted() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await;
        let root = hub.signed_in("root").await;
        let ada = hub.signed_in("ada").await;
        start_server(&hub, "ada").await;
        let mut socket = Socket::by_cookie(&hub, &ada).await;
        root.get("/hub/admin/users").await.expect(200);
        let many = [("names", "ben, Tess\n grace;ada ben"), ("_", "")];
        done(&root, "/hub/admin/users/add", &many, "done=added&n=3").await;
        assert!(user(&hub, "tess").await.is_some_and(|user| !user.admin));
        for (names, said) in [
            ("a b!", "b!"),
            ("  ", "at least one"),
            ("ada", "there already"),
        ] {
            let answer = root
                .post_form("/hub/admin/users/add", &[("names", names)])
                .await;
            assert!(answer.expect(400).text().contains(said), "{names}");
        }
        assert!(user(&hub, "a").await.is_none());

        let chosen = [("do", "block"), ("chosen", "ada"), ("chosen", "nobody")];
        let next = "done=blocked&n=1&refused=1";
        done(&root, "/hub/admin/users/do", &chosen, next).await;
        socket.assert_ends().await;
        ada.get("/hub/home").await.expect(302);
        let client = hub.client();
        let answer = client.log_in("ada", lyceum_testkit::hub::PASSWORD).await;
        answer.expect(403);
        let seen = page(&root, "/hub/admin").await;
        assert!(seen.contains("1 person is kept out"), "{seen}");
        assert_eq!(
            people(&page(&root, "/hub/admin/users?role=blocked").await),
            ["ada"]
        );
        let own = "/hub/admin/user/ada";
        done(&root, own, &[("do", "unblock")], "done=unblocked&n=1").await;
        ada.get("/hub/home").await.expect(200);
        // Nobody shuts herself out.
        let herself = [("do", "block"), ("chosen", "root")];
        root.post_form("/hub/admin/users/do", &herself)
            .await
            .expect(400);
        root.post_form("/hub/admin/users/do", &[("do", "explode")])
            .await
            .expect(400);
        // And somebody has to be chosen: the list says so, where it was.
        let none = [("do", "block"), ("next", "/hub/admin/users?sort=name")];
        let answer = root.post_form("/hub/admin/users/do", &none).await;
        let back = answer.expect(302).location().to_owned();
        assert!(back.contains("sort=name&done=none_chosen"), "{back}");
        let list = page(&root, &back).await;
        assert!(list.contains("because nothing was chosen"), "{list}");

        done(&root, own, &[("do", "admin")], "done=changed").await;
        ada.get("/hub/admin").await.expect(200);
        done(&root, own, &[("do", "no-admin")], "done=changed").await;
        ada.get("/hub/admin").await.expect(403);
        let answer = root.post_form("/hub/admin/user/root", &[("do", "no-admin")]);
        answer.await.expect(400);

        // Her server has to be at rest for another name, and is stopped when she goes.
        let rename = [("do", "rename"), ("to", "countess")];
        let refused = root.post_form(own, &rename).await.expect(400).text();
        assert!(refused.contains("stop it first"), "{refused}");
        for bad in ["", "a b", "TESS "] {
            let rename = [("do", "rename"), ("to", bad)];
            root.post_form(own, &rename).await.expect(400);
        }
        done(
            &root,
            "/hub/admin/user/tess",
            &rename,
            "/user/countess?done=changed",
        )
        .await;
        for confirm in ["", "ada!", "root"] {
            let delete = [("do", "delete"), ("confirm", confirm)];
            root.post_form(own, &delete).await.expect(400);
        }
        assert!(user(&hub, "ada").await.is_some());
        let delete = [("do", "delete"), ("confirm", "ada")];
        done(&root, own, &delete, "done=deleted").await;
        assert!(user(&hub, "ada").await.is_none());
        assert!(hub.spawner.running().is_empty());
        root.get(own).await.expect(404);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_tokens_servers_and_sessions_of_others() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(grants, "reader", &["read:hub"], &["group:staff"]);
            role(grants, "named", &["read:metrics"], &["ada"]);
            service(grants, "grader", |service| {
                service.url = Some("http://127.0.0.1:9".into());
            });
        })
        .await;
        let root = hub.signed_in("root").await;
        let ada = hub.signed_in("ada").await;
        root.get("/hub/admin").await.expect(200);
        let evil = "=cmd|' /c calc'!A1 <b>/..\\";
        let add = [("name", evil), ("users", "ada ben")];
        done(&root, "/hub/admin/groups/add", &add, "done=group_added").await;
        for (name, users, said) in [
            (evil, "", "already exists"),
            ("", "", "1 to 255 bytes"),
            ("new", "nobody", "No such user: nobody"),
        ] {
            let add = [("name", name), ("users", users)];
            let answer = root.post_form("/hub/admin/groups/add", &add).await;
            let said_it = answer.expect(400).text().contains(said);
            assert!(said_it, "{name} {users}");
        }
        let one = format!("/hub/admin/group?name={}", crate::kit::quoted(evil));
        assert_eq!(people(&page(&root, &one).await), ["ada", "ben"]);
        let leave = [("do", "leave"), ("name", evil), ("chosen", "ben")];
        done(&root, "/hub/admin/group", &leave, "done=left&n=1").await;
        assert_eq!(people(&page(&root, &one).await), ["ada"]);
        let join = [("do", "join"), ("name", evil), ("users", "tess, ben")];
        done(&root, "/hub/admin/group", &join, "done=joined&n=2").await;
        assert!(
            page(&root, &one)
                .await
                .contains("/hub/admin/group.csv?name=")
        );
        let members = one.replace("group?", "group.csv?");
        let file = root.get(&members).await.expect(200);
        assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
        let lines =
            "\"name\",\"display_name\"\r\n\"ada\",\"\"\r\n\"ben\",\"\"\r\n\"tess\",\"\"\r\n";
        assert_eq!(file.text(), lines);
        let some = root.get(&format!("{members}&q=te")).await.expect(200);
        assert_eq!(some.text().lines().count(), 2);
        let file = root.get("/hub/admin/groups.csv").await.expect(200).text();
        assert!(
            file.contains("\"'=cmd|' /c calc'!A1 <b>/..\\\",\"3\""),
            "{file}"
        );
        // What a group gives is there at once, and her page says where it comes from.
        ada.get("/hub/api/info").await.expect(403);
        let join = [("do", "join"), ("group", "staff")];
        done(&root, "/hub/admin/user/ada", &join, "done=joined").await;
        ada.get("/hub/api/info").await.expect(200);
        let seen = page(&root, "/hub/admin/user/ada").await;
        for words in [
            "from the group staff",
            "gives it by name",
            "everybody has it",
        ] {
            assert!(seen.contains(words), "{words}: {seen}");
        }
        let delete = [("do", "delete"), ("name", evil), ("confirm", "no")];
        root.post_form("/hub/admin/group", &delete)
            .await
            .expect(400);
        let delete = [("do", "delete"), ("name", evil), ("confirm", evil)];
        done(&root, "/hub/admin/group", &delete, "done=group_deleted").await;
        root.get(&one).await.expect(404);

        start_server(&hub, "ada").await;
        assert_eq!(people(&page(&root, "/hub/admin/servers").await), ["ada"]);
        let stop = [
            ("do", "stop"),
            ("chosen", "ada/"),
            ("next", "/hub/admin/servers?q=a"),
        ];
        let next = "/hub/admin/servers?q=a&done=stopped&n=1";
        done(&root, "/hub/admin/servers/do", &stop, next).await;
        assert!(hub.spawner.running().is_empty());
        assert!(people(&page(&root, "/hub/admin/servers").await).is_empty());
        let stopped = page(&root, "/hub/admin/servers?state=stopped&sort=owner").await;
        assert_eq!(people(&stopped), ["ada"]);
        let start = [("do", "start"), ("chosen", "ada/"), ("chosen", "ada/gpu")];
        done(&root, "/hub/admin/servers/do", &start, "done=started&n=2").await;
        let search = page(&root, "/hub/admin/servers?q=AD/gp&state=all").await;
        assert!(
            search.contains("ada/gpu") && !search.contains("\"ada/\""),
            "{search}"
        );
        let file = root
            .get("/hub/admin/servers.csv?state=all")
            .await
            .expect(200);
        assert_eq!(file.text().lines().count(), 3);
        for odd in ["ada", "nobody/", "ada/GPU", "/"] {
            let stop = [("do", "stop"), ("chosen", odd)];
            let answer = root.post_form("/hub/admin/servers/do", &stop).await;
            assert_eq!(answer.status.as_u16(), 404, "{odd}");
        }

        let secret = hub.token("ada").await;
        let token = hub.client().with_token(&secret);
        let list = token.get("/hub/api/users/ada/tokens").await.expect(200);
        let list = list.json();
        let mine = list["api_tokens"].as_array().expect("a list").iter();
        let mut mine = mine.filter(|token| token["note"] == "");
        let about = format!(
            "ada/{}",
            mine.next_back().expect("hers")["id"]
                .as_str()
                .expect("an id")
        );
        let seen = page(&root, "/hub/admin/tokens?kind=asked&q=ad").await;
        assert!(seen.contains(&about), "{seen}");
        // It is not the reader's.
        for seen in [seen, page(&root, "/hub/admin/user/ada").await] {
            let hers = seen.contains("Everything its owner can do");
            assert!(hers && !seen.contains("you can do"), "{seen}");
        }
        let revoke = [("do", "revoke"), ("chosen", about.as_str())];
        done(&root, "/hub/admin/tokens/do", &revoke, "done=revoked&n=1").await;
        token.get("/hub/api/user").await.expect(403);
        root.post_form("/hub/admin/tokens/do", &revoke)
            .await
            .expect(404);

        // What was started above is on its way.
        let root_program = program(&hub, "root").await;
        let mut news = root_program
            .listen("/hub/api/users/ada/server/progress")
            .await;
        news.until("\"ready\"").await;
        ada.get("/user/ada/api").await.expect(200);
        let mut socket = Socket::by_cookie(&hub, &ada).await;
        let id = ada
            .cookie(lyceum_web::cookie::SESSION_ID)
            .expect("a session");
        let end = [("do", "end-session"), ("id", id.as_str())];
        done(&root, "/hub/admin/user/ada", &end, "done=ended&n=1").await;
        socket.assert_ends().await;
        ada.get("/hub/home").await.expect(302);
        root.get("/hub/home").await.expect(200);
        root.post_form("/hub/admin/user/ada", &end)
            .await
            .expect(404);
        let seen = page(&root, "/hub/admin/services").await;
        assert!(
            seen.contains("does not answer") && seen.contains(">grader<"),
            "{seen}"
        );
        for path in ["activity", "configuration"] {
            page(&root, &format!("/hub/admin/{path}")).await;
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_sees_and_changes_what_is_hers_alone() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            let scopes = [
                "admin-ui",
                "list:users!group=course",
                "servers!group=course",
                "groups!group=course",
                "tokens!group=course",
            ];
            role(grants, "tutor", &scopes, &["tess"]);
            group(grants, "course", &["ada", "grace"]);
            group(grants, "other", &["ben"]);
        })
        .await;
        // More of others' servers than stand on a page, and they are newer.
        start_server(&hub, "ada").await;
        let root = program(&hub, "root").await;
        let names: Vec<String> = (0..55).map(|at| format!("other{at:02}")).collect();
        add_people(&hub, &names).await;
        for name in &names {
            let path = format!("/hub/api/users/{name}/server");
            root.post_json(&path, &json!({})).await.expect(201);
        }
        hub.token("ben").await;
        let tess = hub.signed_in("tess").await;
        let before = state(&hub).await;
        let seen = page(&tess, "/hub/admin/users").await;
        assert_eq!(people(&seen), ["ada", "grace"]);
        assert!(seen.contains("1 to 2 of 2"), "{seen}");
        // What she may not know of them can't be learned from the order either.
        assert!(
            !seen.contains("sort=created") && !seen.contains("Last activity"),
            "{seen}"
        );
        let sorted = page(&tess, "/hub/admin/users?sort=-created&role=blocked").await;
        assert_eq!(people(&sorted), ["ada", "grace"]);
        let seen = page(&tess, "/hub/admin/servers").await;
        assert_eq!(people(&seen), ["ada"], "{seen}");
        assert!(seen.contains("1 to 1 of 1"), "{seen}");
        let seen = page(&tess, "/hub/admin/servers?state=all&limit=1").await;
        assert_eq!(people(&seen), ["ada"], "{seen}");
        let seen = page(&tess, "/hub/admin/tokens").await;
        assert!(seen.contains("ada/a") && !seen.contains("ben/"), "{seen}");
        let seen = page(&tess, "/hub/admin").await;
        for words in ["2 people", "1 server ready"] {
            assert!(seen.contains(words), "{words}: {seen}");
        }
        for hidden in [
            "/hub/admin/services",
            "/hub/admin/configuration",
            "kept out",
        ] {
            assert!(!seen.contains(hidden), "{hidden}: {seen}");
        }
        for (file, lines) in [("users", 3), ("servers", 2), ("groups", 2), ("tokens", 3)] {
            let answer = tess.get(&format!("/hub/admin/{file}.csv")).await;
            let text = answer.expect(200).text();
            assert_eq!(text.lines().count(), lines, "{file}: {text}");
            let others = text.contains("other") || text.contains("\"ben\"");
            assert!(!others, "{file}: {text}");
        }
        for (path, status) in [
            ("/hub/admin/user/ada", 200),
            ("/hub/admin/user/ben", 404),
            ("/hub/admin/user/nobody", 404),
            ("/hub/admin/group?name=course", 200),
            ("/hub/admin/group?name=other", 404),
            ("/hub/admin/group?name=nothing", 404),
            ("/hub/admin/group.csv?name=course", 200),
            ("/hub/admin/group.csv?name=other", 404),
            ("/hub/admin/group.csv?name=nothing", 404),
            ("/hub/admin/activity", 200),
            ("/hub/admin/services", 403),
            ("/hub/admin/configuration", 403),
        ] {
            let seen = tess.get(path).await;
            assert_eq!(seen.status.as_u16(), status, "{path}");
            let text = seen.text();
            assert!(
                !text.contains(">ben<") && !text.contains("other00"),
                "{path}: {text}"
            );
            // Nothing is offered that she may not do.
            for offer in [
                "\"block\"",
                "value=\"delete\"",
                "value=\"admin\"",
                "end-session",
            ] {
                assert!(!text.contains(offer), "{path}: {offer}");
            }
        }
        for (path, fields, status) in [
            ("/hub/admin/users/add", vec![("names", "new")], 403),
            (
                "/hub/admin/users/do",
                vec![("do", "block"), ("chosen", "ada")],
                403,
            ),
            (
                "/hub/admin/users/do",
                vec![("do", "join"), ("chosen", "ada"), ("group", "other")],
                404,
            ),
            (
                "/hub/admin/user/ada",
                vec![("do", "rename"), ("to", "x")],
                403,
            ),
            ("/hub/admin/user/ada", vec![("do", "admin")], 403),
            ("/hub/admin/user/ada", vec![("do", "block")], 403),
            (
                "/hub/admin/user/ada",
                vec![("do", "delete"), ("confirm", "ada")],
                403,
            ),
            ("/hub/admin/user/ada", vec![("do", "end-sessions")], 403),
            (
                "/hub/admin/user/ben",
                vec![("do", "leave"), ("group", "course")],
                404,
            ),
            ("/hub/admin/groups/add", vec![("name", "new")], 403),
            (
                "/hub/admin/group",
                vec![("do", "delete"), ("name", "course"), ("confirm", "course")],
                403,
            ),
            (
                "/hub/admin/group",
                vec![("do", "join"), ("name", "other"), ("users", "ada")],
                404,
            ),
            // She would win power over him by her own scopes.
            (
                "/hub/admin/group",
                vec![("do", "join"), ("name", "course"), ("users", "ben")],
                403,
            ),
            (
                "/hub/admin/servers/do",
                vec![("do", "stop"), ("chosen", "other00/")],
                404,
            ),
            (
                "/hub/admin/servers/do",
                vec![("do", "start"), ("chosen", "ben/")],
                404,
            ),
            (
                "/hub/admin/tokens/do",
                vec![("do", "revoke"), ("chosen", "ben/a0")],
                404,
            ),
        ] {
            let answer = tess.post_form(path, &fields).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{path} {fields:?} {}",
                answer.text()
            );
        }
        assert_eq!(state(&hub).await, before);
        // And what is hers to do works.
        let leave = [("do", "leave"), ("name", "course"), ("chosen", "grace")];
        done(&tess, "/hub/admin/group", &leave, "done=left").await;
        assert_eq!(people(&page(&tess, "/hub/admin/users").await), ["ada"]);
        let stop = [("do", "stop"), ("chosen", "ada/"), ("chosen", "other00/")];
        done(
            &tess,
            "/hub/admin/servers/do",
            &stop,
            "done=stopped&n=1&refused=1",
        )
        .await;
        assert_eq!(hub.spawner.running().len(), 55);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_after_people_gains_nothing_over_administrators() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        let scopes = ["admin-ui", "admin:users", "list:users", "tokens"];
        role(grants, "maker", &scopes, &["tess"]);
    })
    .await;
    hub.signed_in("root").await;
    let tess = hub.signed_in("tess").await;
    tess.get("/hub/admin/users").await.expect(200);
    let before = state(&hub).await;
    for word in ["block", "admin", "no-admin", "end-sessions"] {
        let answer = tess
            .post_form("/hub/admin/user/root", &[("do", word)])
            .await;
        assert_eq!(answer.status.as_u16(), 403, "{word}");
    }
    for (path, fields) in [
        (
            "/hub/admin/user/root",
            vec![("do", "delete"), ("confirm", "root")],
        ),
        ("/hub/admin/user/root", vec![("do", "rename"), ("to", "x")]),
        ("/hub/admin/user/tess", vec![("do", "admin")]),
        (
            "/hub/admin/users/add",
            vec![("names", "x"), ("admin", "yes")],
        ),
        (
            "/hub/admin/users/do",
            vec![("do", "block"), ("chosen", "root")],
        ),
    ] {
        let answer = tess.post_form(path, &fields).await;
        assert_eq!(answer.status.as_u16(), 403, "{path} {fields:?}");
    }
    assert_eq!(state(&hub).await, before);
    let seen = page(&tess, "/hub/admin/user/root").await;
    assert!(!seen.contains("value=\"block\""), "{seen}");
    done(
        &tess,
        "/hub/admin/user/ada",
        &[("do", "block")],
        "done=blocked",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn students_and_forged_forms_change_nothing_and_looking_changes_nothing() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await;
        start_server(&hub, "ada").await;
        let (root, ada) = (hub.signed_in("root").await, hub.signed_in("ada").await);
        let token = program(&hub, "root").await;
        let before = state(&hub).await;
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = "names=x&name=x&do=block&chosen=ada&id=x&title=x&server=";
        let mut walked = 0;
        for route in &hub.routes {
            let ours = [
                "/hub/admin",
                "/hub/sessions",
                "/hub/servers/title",
                "/hub/token",
            ];
            if !ours.iter().any(|path| route.path.starts_with(path)) {
                continue;
            }
            walked += 1;
            let path = route.path.replace("{user}", "ada");
            let what = format!("{} {path}", route.method);
            let of_admins = path.starts_with("/hub/admin");
            if route.method == Method::GET {
                for query in [
                    "",
                    "?done=deleted&n=7",
                    "?do=block&chosen=ada&name=%00&q=%FF",
                ] {
                    let answer = root.get(&format!("{path}{query}")).await;
                    let status = answer.status.as_u16();
                    assert!(matches!(status, 200 | 400 | 404), "{what}{query}: {status}");
                }
                let expect = if of_admins { 403 } else { 200 };
                assert_eq!(ada.get(&path).await.status.as_u16(), expect, "{what}");
                let led = token.get(&path).await.expect(302);
                assert!(led.location().starts_with("/hub/login"), "{what}");
                continue;
            }
            // With no form token, or that of another session; and a program without a browser.
            let stolen = format!(
                "{body}&_xsrf={}",
                form_token(&page(&ada, "/hub/home").await)
            );
            for body in [body, &stolen, &format!("{body}&_xsrf=x")] {
                let answer = root.send(Method::POST, &path, &form, body.to_owned().into());
                assert_eq!(answer.await.status.as_u16(), 403, "{what}");
            }
            let answer = token.send(Method::POST, &path, &form, body.into()).await;
            assert_eq!(answer.status.as_u16(), 403, "{what}");
            if of_admins {
                let answer = ada.post_form(&path, &[("do", "block"), ("chosen", "root")]);
                assert_eq!(answer.await.status.as_u16(), 403, "{what}");
            }
        }
        assert!(walked > 25, "{walked}");
        assert_eq!(state(&hub).await, before);
        // Words in the address are not taken for what was done.
        let seen = page(&root, "/hub/admin/users?done=%3Cb%3E&n=3").await;
        assert!(!seen.contains("role=\"status\""), "{seen}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_leads_back_into_the_area_only() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    let root = hub.signed_in("root").await;
    for next in [
        "https://evil.example/hub/admin",
        "//evil.example",
        "/hub/adminx",
        "/hub/admin/../logout",
        "/user/ada/",
        "\\\\evil",
    ] {
        let fields = [("do", "block"), ("next", next)];
        let answer = root.post_form("/hub/admin/user/ada", &fields).await;
        let to = answer.expect(302).location().to_owned();
        assert_eq!(to, "/hub/admin/user/ada?done=blocked&n=1", "{next}");
    }
}
