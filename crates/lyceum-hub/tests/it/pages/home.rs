//! The home page: services one may open, what servers are called, and what is to be done in courses.

use hyper::Method;
use hyper::body::Bytes;
use lyceum_hub::course_work::{AddedTo, Arrivals, CourseWork, Mistake, Task};
use lyceum_hub::db;
use lyceum_hub::servers::State;
use lyceum_model::clock::Clock;
use lyceum_model::who::CourseRole;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use crate::grants::{granting, role, service};
use crate::kit::{assert_german, in_german, program, send_json, start_server};
use crate::servers::queue::{place, places, wish};
use crate::servers::{row, until, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn services_are_shown_to_those_who_may_open_them() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            for (name, url, display) in [
                ("grader", Some("http://127.0.0.1:9"), true),
                ("hidden", Some("http://127.0.0.1:9"), false),
                ("culler", None, true),
                ("secret", Some("http://127.0.0.1:9"), true),
            ] {
                service(grants, name, |service| {
                    service.url = url.map(str::to_owned);
                    service.display = display;
                });
            }
            let scopes = ["grader", "hidden", "culler"]
                .map(|name| format!("access:services!service={name}"));
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            role(grants, "opens", &scopes, &["ada"]);
        })
        .await;
        for (who, expect) in [
            ("ada", vec!["grader"]),
            ("ben", vec![]),
            ("root", vec!["grader", "secret"]),
        ] {
            let home = hub.signed_in(who).await.get("/hub/home").await;
            let home = home.expect(200).text();
            // The frame has links of its own.
            let (_, section) = home.split_once("<h2 id=\"services\"").unwrap_or_default();
            let links = section.split("href=\"/services/").skip(1);
            let links: Vec<&str> = links.filter_map(|rest| rest.split('/').next()).collect();
            assert_eq!(links, expect, "{who}: {home}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_rest_gets_another_name() {
    for db in TestDb::both().await {
        let hub = granting(&db, |_| {}).await;
        start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let named = async |title: &str| {
            let fields = [("server", ""), ("title", title)];
            ada.post_form("/hub/servers/title", &fields).await
        };
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(!home.contains("servers/title"), "{home}");
        named("Thesis").await.expect(400);
        ada.post_form("/hub/servers/stop", &[("server", "")])
            .await
            .expect(302);
        for bad in ["", "two  spaces", "a\nb", &"x".repeat(300)] {
            let page = named(bad).await.expect(400).text();
            assert!(page.contains("printable characters"), "{bad:?}: {page}");
            // That is nothing about a new server.
            assert!(!page.contains("id=\"add-problem\""), "{bad:?}: {page}");
        }
        named("Thesis <b>& co").await.expect(302);
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Thesis &lt;b&gt;&amp; co"), "{home}");
        assert!(home.contains("Your files are as you left them."), "{home}");
        let fields = [("server", "no-such"), ("title", "x")];
        ada.post_form("/hub/servers/title", &fields)
            .await
            .expect(404);
        hub.stop().await;
    }
}

const HOUR: i64 = 3_600_000;

/// Due so many milliseconds from now; taken an hour longer.
fn task(hub: &TestHub, name: &str, due_in: i64) -> Task {
    let due = hub.hub.now().plus(due_in);
    Task {
        name: name.into(),
        due: Some(due),
        in_time_until: Some(due),
        taken_until: Some(due.plus(HOUR)),
        late: due_in < 0,
        again: true,
        ..Task::default()
    }
}

fn work(course: &str, tasks: Vec<Task>) -> CourseWork {
    CourseWork {
        course: course.into(),
        tasks,
        ..CourseWork::default()
    }
}

/// The section with the primary action, which every page has once.
#[track_caller]
fn first_thing(page: &str) -> &str {
    assert_eq!(page.matches("primary\"").count(), 1, "{page}");
    let (_, section) = page
        .split_once("<section class=\"next\"")
        .expect("a section");
    section.split_once("</section>").expect("its end").0
}

/// Without markup, as it is read.
fn words(html: &str) -> String {
    let texts = html
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text: String = texts.collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_student_hands_in_next_comes_first() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let hub = hub.with_user("ben").await;
        let (ada, ben) = (hub.signed_in("ada").await, hub.signed_in("ben").await);
        let home = async || ada.get("/hub/home").await.expect(200).text();
        let (soon, later) = (task(&hub, "ps1", 5 * HOUR), task(&hub, "ps2", 9 * HOUR));
        hub.give_work(
            "ada",
            vec![
                work("bio", vec![later.clone()]),
                work("signals", vec![later.clone(), soon.clone()]),
            ],
        );
        let page = home().await;
        let first = first_thing(&page);
        assert!(
            words(first).contains("Continue: Signals and Systems, ps1, due "),
            "{first}"
        );
        let due = soon.due.expect("due").to_iso();
        let due = due.split('.').next().expect("seconds");
        assert!(first.contains(&format!("datetime=\"{due}Z\"")), "{first}");
        // Her server is started for that course.
        assert!(first.contains("action=\"/hub/spawn\""), "{first}");
        assert!(
            first.contains("name=\"course\" value=\"signals\""),
            "{first}"
        );
        let all = words(&page);
        assert!(all.contains("Next: ps1, due "), "{all}");
        assert!(all.contains("2 assignments to hand in"), "{all}");
        assert!(all.contains("1 assignment to hand in"), "{all}");
        // Nobody else's page has any of it.
        let other = ben.get("/hub/home").await.expect(200).text();
        assert!(
            !other.contains("ps1") && !other.contains("to hand in"),
            "{other}"
        );
        assert!(
            first_thing(&other).contains("Start: My notebook server"),
            "{other}"
        );

        // What was handed in comes after what was not, also where that is due later.
        let done = Task {
            handed_in: Some(hub.hub.now()),
            ..soon.clone()
        };
        hub.give_work(
            "ada",
            vec![
                work("bio", vec![later]),
                work("signals", vec![done.clone()]),
            ],
        );
        let page = home().await;
        let first = first_thing(&page);
        assert!(
            words(first).contains("Continue: The course bio, ps2, due "),
            "{first}"
        );
        // Nothing can be started for that course, so her own server is.
        assert!(first.contains("action=\"/hub/servers/start\""), "{first}");
        assert!(words(&page).contains("(handed in)"), "{page}");
        hub.give_work("ada", vec![work("signals", vec![done])]);
        let page = home().await;
        let first = words(first_thing(&page));
        assert!(
            first.contains("You have handed it in: ") && first.contains("hand it in again"),
            "{first}"
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_work_that_is_still_taken_is_told_in_both_languages() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let (ada, german) = (hub.signed_in("ada").await, hub.signed_in("ada").await);
    let german = in_german(german);
    let endless = Task {
        taken_until: None,
        ..task(&hub, "ps1", -HOUR / 2)
    };
    let graced = Task {
        late: false,
        in_time_until: Some(hub.hub.now().plus(HOUR)),
        ..endless.clone()
    };
    for (task, said, gesagt) in [
        (
            task(&hub, "ps1", -HOUR / 2),
            "It is late, and still taken until ",
            "wird noch angenommen bis ",
        ),
        (
            endless,
            "It is late, and still taken.",
            "Es ist verspätet und wird noch angenommen.",
        ),
        (
            graced,
            "It still counts as in time until ",
            "Es gilt noch als rechtzeitig bis ",
        ),
    ] {
        hub.give_work("ada", vec![work("signals", vec![task])]);
        let page = ada.get("/hub/home").await.expect(200).text();
        let first = words(first_thing(&page));
        assert!(
            first.contains(said) && first.contains("ps1, was due "),
            "{said}: {first}"
        );
        let page = german.get("/hub/home").await.expect(200).text();
        let first = words(first_thing(&page));
        assert!(
            first.contains(gesagt) && first.contains("ps1, war fällig "),
            "{gesagt}: {first}"
        );
        assert_german(&page);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_done_in_the_server_that_runs() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    hub.give_work("ada", vec![work("signals", vec![task(&hub, "ps1", HOUR)])]);
    let started = ada.post_form("/hub/spawn", &[("course", "signals")]).await;
    started.expect(302);
    until_state(db.db(), "ada", State::Ready).await;
    let page = ada.get("/hub/home").await.expect(200).text();
    assert!(words(&page).contains("For Signals and Systems"), "{page}");
    let first = first_thing(&page);
    assert!(
        first.contains("class=\"button primary\" href=\"/user/ada/\""),
        "{first}"
    );
    let first = words(first);
    assert!(
        first.contains("Continue: Signals and Systems, ps1, due "),
        "{first}"
    );
    assert!(first.contains("My notebook server is ready."), "{first}");
    hub.stop().await;
}

/// What runs for another course has neither its environment nor its files.
#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_done_in_what_runs_for_another_course() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let tasks = || vec![task(&hub, "ps1", HOUR)];
    hub.give_work("ada", vec![work("signals", tasks())]);
    let started = ada.post_form("/hub/spawn", &[("course", "algebra")]).await;
    started.expect(302);
    until_state(db.db(), "ada", State::Ready).await;
    let page = ada.get("/hub/home").await.expect(200).text();
    let first = first_thing(&page);
    assert!(!first.contains("/user/ada/"), "{first}");
    assert!(first.contains("action=\"/hub/spawn\""), "{first}");
    assert!(
        first.contains("name=\"course\" value=\"signals\""),
        "{first}"
    );
    assert!(
        words(first).contains("there for another course. Before it is stopped"),
        "{first}"
    );
    assert!(!page.contains("algebra"), "she does not see it: {page}");
    // One that she sees has its name.
    let seen = || work("algebra", Vec::new());
    hub.give_work("ada", vec![seen(), work("signals", tasks())]);
    let page = ada.get("/hub/home").await.expect(200).text();
    let said = words(first_thing(&page));
    assert!(
        said.contains("My notebook server is there for The course algebra. Before it"),
        "{said}"
    );
    assert!(
        words(&page).contains("Ready For The course algebra"),
        "{page}"
    );
    // That asks first.
    ada.post_form("/hub/spawn", &[("course", "signals")])
        .await
        .expect(409);
    let german = in_german(hub.signed_in("ada").await);
    let page = german.get("/hub/home").await.expect(200).text();
    assert!(page.contains("ist für The course algebra da"), "{page}");
    assert_german(&page.replace("The course algebra", ""));

    // For what can't be started she works in what there is.
    hub.give_work("ada", vec![work("bio", tasks())]);
    let page = ada.get("/hub/home").await.expect(200).text();
    let first = first_thing(&page);
    assert!(
        first.contains("class=\"button primary\" href=\"/user/ada/\""),
        "{first}"
    );

    // One beside it that was started plainly has nothing of the course's either.
    hub.give_work("ada", vec![work("signals", tasks())]);
    let program = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/servers/plain";
    program.post_json(path, &json!({})).await.expect(201);
    let page = ada.get("/hub/home").await.expect(200).text();
    let first = first_thing(&page);
    assert!(first.contains("action=\"/hub/spawn\""), "{first}");
    let path = "/hub/api/users/ada/servers/plain/";
    assert!(!first.contains(path), "{first}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_done_in_what_was_started_plainly() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    hub.give_work("ada", vec![work("signals", vec![task(&hub, "ps1", HOUR)])]);
    start_server(&hub, "ada").await;
    let page = ada.get("/hub/home").await.expect(200).text();
    let first = first_thing(&page);
    assert!(first.contains("action=\"/hub/spawn\""), "{first}");
    assert!(
        words(first).contains("My notebook server runs, but not for this course. Before it"),
        "{first}"
    );
    let german = in_german(hub.signed_in("ada").await);
    assert_german(&german.get("/hub/home").await.expect(200).text());
    hub.stop().await;
}

/// A start that has a place never answers here; the next waits.
async fn with_one_place(db: &TestDb) -> TestHub {
    let spawner = FakeSpawner::default();
    spawner.behave(Behaviour::NeverReady);
    let tune = places(1, 1);
    let hub = TestHub::start_tuned(db.db().clone(), spawner, tune).await;
    hub.with_user("ada").await.with_user("ben").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_line_reads_it_in_the_same_words_everywhere() {
    let db = TestDb::sqlite().await;
    let hub = with_one_place(&db).await;
    wish(&hub, &[("ben", "")]).await;
    until_state(db.db(), "ben", State::Starting).await;
    wish(&hub, &[("ada", "")]).await;
    place(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let page = ada.get("/hub/home").await.expect(200).text();
    let first = words(first_thing(&page));
    assert!(
        first
            .contains("Waiting for its turn: My notebook server Waiting for a free place: next in"),
        "{first}"
    );
    assert!(!page.contains("under way"), "{page}");
    let german = in_german(hub.signed_in("ada").await);
    let page = german.get("/hub/home").await.expect(200).text();
    assert!(page.contains("als Nächstes an der Reihe"), "{page}");
    assert_german(&page);
    hub.stop().await;
}

/// What was added only to start it leaves no name behind when that start is cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_cancelled_leaves_nothing() {
    for db in TestDb::both().await {
        let hub = with_one_place(&db).await;
        let ada = hub.signed_in("ada").await;
        let add = async |name: &str| {
            let fields = [("server", name)];
            ada.post_form("/hub/servers/add", &fields).await.expect(302);
        };
        let stop = async |name: &str| {
            let fields = [("server", name), ("next", "/hub/home")];
            let answer = ada.post_form("/hub/servers/stop", &fields).await;
            answer.expect(302).location().to_owned()
        };
        let cards = async || {
            let page = ada.get("/hub/home").await.expect(200).text();
            let keys = page.split("<li data-key=\"").skip(1);
            let keys = keys.filter_map(|rest| Some(rest.split_once("/\"")?.0.to_owned()));
            keys.collect::<Vec<String>>()
        };
        // One that begins, and one that still waits.
        add("one").await;
        until_named(&hub, "one", State::Starting).await;
        add("two").await;
        until_named(&hub, "two", State::Queued).await;
        assert_eq!(cards().await, ["", "one", "two"]);
        let to = stop("two").await;
        assert_eq!(to, "/hub/home?done=cancelled&server=two");
        let page = ada.get(&to).await.expect(200).text();
        assert!(page.contains("The start of two was cancelled"), "{page}");
        assert_eq!(stop("one").await, "/hub/home?done=cancelled&server=one");
        assert_eq!(cards().await, [""]);
        // Nobody is told so of what is there.
        add("one").await;
        let page = ada.get("/hub/home?done=removed&server=one").await;
        assert!(!page.expect(200).text().contains("is removed"));
        until_named(&hub, "one", State::Starting).await;

        // What was made on purpose stays, and so does what has been started before.
        let program = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/servers/made";
        let made = send_json(&program, Method::PUT, path, &json!({})).await;
        made.expect(201);
        let fields = [("server", "made")];
        let start = async || {
            let start = ada.post_form("/hub/servers/start", &fields).await;
            start.expect(302);
        };
        start().await;
        assert_eq!(stop("made").await, "/hub/home");
        start().await;
        assert_eq!(stop("made").await, "/hub/home");
        assert_eq!(cards().await, ["", "made", "one"]);
        // Removing says what it has done, once there is nothing to see of it.
        let page = ada.get("/hub/home").await.expect(200).text();
        assert!(page.contains("Removed, made is forgotten"), "{page}");
        let fields = [("server", "made"), ("next", "/hub/home")];
        let removed = ada.post_form("/hub/servers/remove", &fields).await;
        let to = removed.expect(302).location().to_owned();
        let page = ada.get(&to).await.expect(200).text();
        assert!(page.contains("made is removed. Your files stay."), "{page}");
        let german = in_german(hub.signed_in("ada").await);
        let page = german.get(&to).await.expect(200).text();
        assert!(page.contains("made ist entfernt."), "{page}");
        assert_german(&page);
        for odd in [
            "done=x&server=made",
            "done=removed&server=%3Cb%3E",
            "done=removed",
            "server=x",
        ] {
            let page = ada
                .get(&format!("/hub/home?{odd}"))
                .await
                .expect(200)
                .text();
            assert!(!page.contains("data-said"), "{odd}: {page}");
        }
        hub.stop().await;
    }
}

async fn until_named(hub: &TestHub, name: &str, wanted: State) {
    until(&format!("{name} is {wanted:?}"), || async {
        let found = row(hub.hub.db(), "ada", name).await;
        found.is_some_and(|row| row.state == wanted)
    })
    .await;
}

/// A page that looks by itself keeps no session alive and makes nobody active.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_looks_by_itself_is_nobodys_activity() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |_, _| {}).await;
        let hub = hub.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let seen = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let name = "ada".parse().expect("a name");
            let user = db::users::find(&mut tx, &name).await.expect("read");
            let user = user.expect("Ada");
            let sessions = db::sessions::of_user(&mut tx, &user.id, 0).await;
            let session = sessions.expect("read").remove(0);
            (session.seen_at, user.last_activity_at)
        };
        let before = seen().await;
        clock.advance(600_000);
        for query in ["no_track_activity=1", "x=1&no_track_activity=true"] {
            let page = ada.get(&format!("/hub/home?{query}")).await.expect(200);
            assert!(page.text().contains("Hello ada"));
            assert_eq!(seen().await, before, "{query}");
        }
        // A name without a value says nothing, as to Jupyter's servers.
        let page = ada.get("/hub/home?no_track_activity=").await;
        page.expect(200);
        let now = hub.hub.now().0;
        assert_eq!(seen().await, (now, Some(now)));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_teacher_comes_first() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("tess").await;
    let hub = hub.with_user("ada").await;
    let (tess, ada) = (hub.signed_in("tess").await, hub.signed_in("ada").await);
    let german = in_german(hub.signed_in("tess").await);
    let now = hub.hub.now();
    let arrivals = |name: &str, given: u64, waiting: u64| Arrivals {
        name: name.into(),
        due: Some(now.plus(HOUR)),
        given,
        students: Some(40),
        waiting,
        newest: (given > 0).then_some(now),
        page: Some(format!("/hub/courses/bio/assignments/{name}")),
    };
    let mut bio = work("bio", Vec::new());
    bio.arrivals = (1..8)
        .map(|at| arrivals(&format!("ps{at}"), 12, 7))
        .collect();
    bio.mistakes = vec![Mistake {
        line: Some(3),
        words: "there is no key `<opnes>`".into(),
    }];
    let lists = CourseWork {
        rest_holds: true,
        mistakes: vec![Mistake {
            line: None,
            words: "list.csv:3: nothing stands there".into(),
        }],
        ..work("lists", Vec::new())
    };
    hub.give_work("tess", vec![bio, lists]);
    let page = tess.get("/hub/home").await.expect(200).text();
    first_thing(&page);
    let (before, _) = page
        .split_once("<section class=\"next\"")
        .expect("a section");
    let said = words(before);
    for has in [
        "What waits for you The course bio There is a mistake in the course&#39;s file.",
        "Line 3: there is no key `&lt;opnes&gt;`",
        "ps1: 12 of 40 have handed in, due ",
        "7 wait for feedback. The newest came ",
        "ps5: 12 of 40",
        "And 2 more assignments.",
        "The course lists There is a mistake in what belongs to the course. All else in it counts.",
        "list.csv:3: nothing stands there",
    ] {
        assert!(said.contains(has), "{has}: {said}");
    }
    assert!(!said.contains("ps6:"), "{said}");
    // What it leads to is there.
    assert!(before.contains("href=\"#course-bio\""), "{before}");
    let link = "<a href=\"/hub/courses/bio/assignments/ps1\">ps1</a>";
    assert!(before.contains(link), "{before}");
    assert!(page.contains("id=\"course-bio\""), "{page}");
    let page = german.get("/hub/home").await.expect(200).text();
    assert!(
        words(&page).contains("12 von 40 haben abgegeben, fällig "),
        "{page}"
    );
    // The file is in no language of ours, and the title is the test's.
    let page = page.replace("The course bio", "");
    assert_german(&page.replace("The course lists", ""));
    let page = ada.get("/hub/home").await.expect(200).text();
    assert!(
        !page.contains("id=\"waiting\"") && !page.contains("bio"),
        "{page}"
    );
    hub.stop().await;
}

/// Courses beside hers, to which somebody added her: there is nothing to start for them.
#[tokio::test(flavor = "multi_thread")]
async fn courses_to_which_one_was_added_have_a_card() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let added = |role: CourseRole, title: &str| {
        Some(AddedTo {
            role,
            title: title.into(),
            term: Some("Winter".into()),
            archived: false,
        })
    };
    let arrivals = Arrivals {
        name: "sketch".into(),
        given: 3,
        waiting: 2,
        ..Arrivals::default()
    };
    let takes = CourseWork {
        added: added(CourseRole::Student, "Zoology"),
        ..work("zoo", vec![task(&hub, "ps1", 5 * HOUR)])
    };
    let teaches = CourseWork {
        added: added(CourseRole::Teacher, "Art & <craft>"),
        arrivals: vec![arrivals],
        ..work("Art & \"craft\" ä", Vec::new())
    };
    hub.give_work("ada", vec![teaches, takes]);
    let page = ada.get("/hub/home").await.expect(200).text();
    assert!(words(first_thing(&page)).starts_with("Continue: Zoology, ps1, due "));
    let cards = page.split("<li id=\"course-").skip(1);
    let cards: Vec<&str> = cards
        .map(|card| card.split_once("</li>").expect("its end").0)
        .collect();
    // Hers come first.
    let anchors: Vec<&str> = cards
        .iter()
        .filter_map(|card| Some(card.split_once('"')?.0))
        .collect();
    assert_eq!(anchors, ["signals", "Art+%26+%22craft%22+%C3%A4", "zoo"]);
    let said: Vec<String> = cards.iter().map(|card| words(card)).collect();
    assert!(
        said[1].ends_with("Art &amp; &lt;craft&gt; Winter · You are: teacher"),
        "{said:?}"
    );
    assert!(
        said[2].contains("You are: student Next: ps1, due "),
        "{said:?}"
    );
    for (at, starts) in [(0, true), (1, false), (2, false)] {
        let card = cards[at];
        assert_eq!(card.contains("name=\"course\""), starts, "{card}");
    }
    assert!(
        page.contains("href=\"#course-Art+%26+%22craft%22+%C3%A4\""),
        "{page}"
    );

    // A course that everybody sees: it says what she is there.
    let seen = CourseWork {
        added: added(CourseRole::Student, "Signals"),
        ..work("signals", Vec::new())
    };
    hub.give_work("ada", vec![seen]);
    let page = ada.get("/hub/home").await.expect(200).text();
    assert_eq!(page.matches("<li id=\"course-").count(), 1, "{page}");
    assert!(words(&page).contains("You are: student"), "{page}");
    let became = CourseWork {
        added: added(CourseRole::Teacher, "Signals"),
        ..work("signals", Vec::new())
    };
    hub.give_work("ada", vec![became]);
    let page = ada.get("/hub/home").await.expect(200).text();
    assert_eq!(page.matches("<li id=\"course-").count(), 1, "{page}");
    assert!(words(&page).contains("You are: teacher, student"), "{page}");
    hub.stop().await;
}

/// Servers can be started whatever is the matter with the courses.
#[tokio::test(flavor = "multi_thread")]
async fn home_comes_although_nobody_knows_what_is_to_be_done() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    hub.give_work("ada", vec![work("broken", Vec::new())]);
    let ada = hub.signed_in("ada").await;
    let page = ada.get("/hub/home").await.expect(200).text();
    assert!(page.contains("could not be looked up just now"), "{page}");
    assert!(page.contains("Start: My notebook server"), "{page}");
    hub.give_work("ada", Vec::new());
    let page = ada.get("/hub/home").await.expect(200).text();
    assert!(!page.contains("could not be looked up"), "{page}");
    // Nothing of hers is anywhere yet.
    assert!(page.contains("Starting takes a few seconds."), "{page}");
    assert!(!page.contains("as you left them"), "{page}");
    hub.stop().await;
}

/// A page that was made a moment ago is shown again only to the same browser, and while nothing has changed.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_reloads_sees_what_is_so_now() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let hub = hub.with_user("ben").await.with_admin("root").await;
        let ada = hub.signed_in("ada").await;
        let home = async |client: &lyceum_testkit::Client| {
            let page = client.get("/hub/home").await.expect(200);
            let cookie = page.headers.get("set-cookie").cloned();
            (page.text(), cookie)
        };
        let first = home(&ada).await;
        assert_eq!(home(&ada).await, first);
        assert!(first.0.contains("ada") && first.1.is_some());
        let ben = home(&hub.signed_in("ben").await).await;
        assert!(ben.0.contains("ben") && ben.1 != first.1);
        let german = [("accept-language", "de")];
        let german = ada
            .send(Method::GET, "/hub/home", &german, Bytes::new())
            .await;
        assert!(german.text().contains("lang=\"de\""));
        start_server(&hub, "ada").await;
        let running = home(&ada).await.0;
        assert!(
            running != first.0 && running.contains("/user/ada/"),
            "{running}"
        );
        let root = hub.signed_in("root").await;
        let fields = [("do", "block"), ("chosen", "ada")];
        root.post_form("/hub/admin/users/do", &fields)
            .await
            .expect(302);
        ada.get("/hub/home").await.expect(302);
    }
}
