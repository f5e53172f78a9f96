//! The pages of courses: who sees what, and files that a browser hands in.

use hyper::Method;
use lyceum_exchange::pages::PREFIX;
use lyceum_exchange::verify;
use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb};

use crate::kit::Stage;

/// 9 o'clock in Berlin on 22 November 2026.
const DUE: i64 = 1_795_334_400_000;
const MINUTE: i64 = 60_000;
const BIO: &str = "title: Biology
people:
  teachers: [tess]
  graders: [gina]
  students: [ada, ben]
  labels: {extra-time: [ben]}
environment: {}
server: true
assignments:
  ps1:
    due: 2026-11-22 09:00
    grace: 5m
    late: {until: 1h, costs: 10% per day}
    extend: {extra-time: 1d}
    limits: {size: 1000B, files: 3, kinds: [ipynb], submissions: 2}
  ps2: {opens: 2026-11-23 09:00}
  ps9: {due: 2026-12-22 09:00}
";
const CHEMISTRY: &str = "title: Chemistry\npeople: {teachers: [tina]}\n";
const PS1: &str = "/hub/courses/bio/assignments/ps1";
const KIND: &str = "multipart/form-data; boundary=b";

async fn stage(db: &TestDb, clock: &Clock) -> Stage {
    let mut stage = Stage::set_at(db, clock.clone()).await;
    for name in ["gina", "tina"] {
        stage.hub = stage.hub.with_user(name).await;
    }
    stage.write_course("bio", BIO);
    stage.write_course("chemistry", CHEMISTRY);
    let tess = stage.asks("tess").await.0;
    for name in ["ps1", "ps2"] {
        let path = format!("/hub/api/lyceum/exchange/courses/bio/assignments/{name}/versions");
        let body =
            "--b\r\nContent-Disposition: form-data; name=\"task.ipynb\"\r\n\r\n?\r\n--b--\r\n";
        send(&tess, Method::POST, &path, body).await.expect(201);
    }
    stage
}

async fn send(who: &Client, method: Method, path: &str, body: &str) -> Answer {
    let kind = [("content-type", KIND)];
    who.send(method, path, &kind, body.to_owned().into()).await
}

/// As a browser sends the form: the token, then each file under its name.
fn form(token: &str, files: &[(&str, &str)]) -> String {
    let mut form =
        format!("--b\r\nContent-Disposition: form-data; name=\"_xsrf\"\r\n\r\n{token}\r\n");
    for (name, content) in files {
        form += &format!(
            "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n"
        );
    }
    form + "--b--\r\n"
}

/// By the form of the page.
async fn hand_in(who: &Client, files: &[(&str, &str)]) -> Answer {
    let page = who.get(PS1).await.text();
    let token = token(&page);
    send(who, Method::POST, PS1, &form(&token, files)).await
}

fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"_xsrf\" value=\"").expect("a token");
    rest.split('"').next().expect("its end").to_owned()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Where something is that was handed in.
#[track_caller]
fn place(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let place = answer.location().strip_suffix("?done=1");
    place.expect("it says that it is done").to_owned()
}

async fn give_feedback(stage: &Stage, place: &str, content: &str) {
    let api = place.replacen("/hub/courses/", "/hub/api/lyceum/exchange/courses/", 1);
    let path = format!("{api}/feedback");
    let body = ["page.html", "points.csv"].map(|name| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    });
    let body = format!("{}--b--\r\n", body.concat());
    let gina = stage.asks("gina").await.0;
    send(&gina, Method::PUT, &path, &body).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_hands_in_by_the_page() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - MINUTE));
        let stage = stage(&db, &clock).await;
        let ada = stage.hub.signed_in("ada").await;
        let course = ada.get("/hub/courses/bio").await.expect(200).text();
        for words in [
            "Biology",
            "ps1",
            "You can hand it in 2 more times.",
            "for each day",
        ] {
            assert!(course.contains(words), "{words}: {course}");
        }
        // Not open yet, not released, and nothing for those who teach.
        for words in ["ps2", "ps9", "What is started", "/people"] {
            assert!(!course.contains(words), "{words}: {course}");
        }
        let page = ada.get(PS1).await.expect(200).text();
        for words in [
            "All files together have at most",
            "At most 3 files.",
            ".ipynb",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        let place = place(&hand_in(&ada, &[("a.ipynb", "answer"), ("d/b.ipynb", "")]).await);
        let told = ada.get(&format!("{place}?done=1")).await.expect(200).text();
        for words in [
            "It is handed in and kept.",
            "in time",
            "d/b.ipynb",
            "lyceum receipt 2",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let receipt = ada.get(&format!("{place}/receipt")).await.expect(200);
        assert!(receipt.text().contains("\nstudent: ada\n"));
        assert!(told.contains(receipt.text().lines().nth(1).expect("a line")));
        let disposition = header(&receipt, "content-disposition");
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        let file = ada.get(&format!("{place}/file?path=a.ipynb")).await;
        assert_eq!(file.expect(200).text(), "answer");
        let zip = ada.get(&format!("{place}/zip")).await.expect(200);
        assert_eq!(header(&zip, "content-type"), "application/zip");
        ada.get(&format!("{PS1}/versions/newest/zip"))
            .await
            .expect(200);

        // The next is in the time of grace, and the one after that is one too many.
        clock.advance(3 * MINUTE);
        hand_in(&ada, &[("a.ipynb", "better")]).await;
        let page = ada.get(PS1).await.expect(200).text();
        assert!(page.contains("as often as it is taken"), "{page}");
        assert!(!page.contains("data-hand-in"), "{page}");
        let course = ada.get("/hub/courses/bio").await.text();
        assert!(course.contains("as often as it is taken"), "{course}");
        assert!(!course.contains("0 more times"), "{course}");
        let told = verify::verify(
            stage.exchange.db(),
            stage.exchange.blobs(),
            stage.exchange.signer(),
            |fault| panic!("{fault:?}"),
        );
        assert_eq!(told.await.expect("looked at").receipts, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_told_on_the_page() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - MINUTE));
        let stage = stage(&db, &clock).await;
        let ada = stage.hub.signed_in("ada").await;
        let large = "x".repeat(1001);
        let refused = async |files: &[(&str, &str)], status: u16, words: &str| {
            let answer = hand_in(&ada, files).await;
            let text = answer.expect(status).text();
            let (_, problem) = text.split_once("role=\"alert\"").expect("a problem");
            let problem = problem.split("</p>").next().expect("its end");
            assert!(problem.contains(words), "{words}: {problem}");
            assert!(
                text.contains("<h1>ps1</h1>"),
                "it is the page with the form"
            );
        };
        refused(&[], 400, "Choose the files first").await;
        // What browsers send when nothing was chosen.
        refused(&[("", "")], 400, "Choose the files first").await;
        refused(&[("a.ipynb", &large)], 413, "larger than").await;
        refused(&[("a.exe", "x")], 400, "A file like a.exe is not taken").await;
        let four = ["a.ipynb", "b.ipynb", "c.ipynb", "d.ipynb"].map(|name| (name, "x"));
        refused(&four, 413, "at most 3 are taken").await;
        for name in [
            "../a.ipynb",
            "/a.ipynb",
            "a//b.ipynb",
            "d/../../a.ipynb",
            "a\u{1}.ipynb",
        ] {
            refused(
                &[("ok.ipynb", "x"), (name, "x")],
                400,
                "One of the files has a name that can",
            )
            .await;
        }
        refused(
            &[("a.ipynb", "x"), ("a.ipynb", "y")],
            400,
            "One of the files has a name that can",
        )
        .await;
        // Browsers mean a backslash as it is.
        refused(
            &[("a.ipynb\\", "x")],
            400,
            "A file like a.ipynb\\ is not taken",
        )
        .await;
        refused(
            &[("\u{202e}fdp.exe", "x")],
            400,
            "A file like \\u{202e}fdp.exe is not",
        )
        .await;
        refused(&[("<b>&a.exe", "x")], 400, "&lt;b&gt;&amp;a.exe").await;

        // A script gets the same words, in the reader's language.
        let german = stage
            .hub
            .signed_in("ada")
            .await
            .with_header("accept-language", "de");
        let token = token(&german.get(PS1).await.text());
        let kind = [("content-type", KIND), ("accept", "application/json")];
        let body = form(&token, &[("a.exe", "x")]);
        let answer = german.send(Method::POST, PS1, &kind, body.into()).await;
        let problem = answer.expect(400).json()["problem"].clone();
        let problem = problem.as_str().expect("words");
        assert!(
            problem.starts_with("Eine Datei wie a.exe wird nicht"),
            "{problem}"
        );
        let body = form(
            &token,
            &[("a \u{22}ä.ipynb".replace('"', "%22").as_str(), "x")],
        );
        let answer = german.send(Method::POST, PS1, &kind, body.into()).await;
        let url = answer.expect(201).json()["url"].clone();
        let page = german
            .get(url.as_str().expect("an address"))
            .await
            .expect(200);
        assert!(page.text().contains("a &quot;ä.ipynb"), "{}", page.text());
        assert!(page.text().contains("Quittung"));

        clock.advance(66 * MINUTE);
        let closed = german.get(PS1).await.expect(200).text();
        assert!(
            !closed.contains("data-hand-in") && closed.contains("vorbei"),
            "{closed}"
        );
        let body = form(&token, &[("a.ipynb", "x")]);
        let answer = send(&german, Method::POST, PS1, &body)
            .await
            .expect(403)
            .text();
        assert!(
            answer.contains("Das kam zu spät")
                && answer.contains("Nichts mehr angenommen wird seit"),
            "{answer}"
        );
        // Who has longer may still.
        let ben = stage.hub.signed_in("ben").await;
        let page = ben.get(PS1).await.text();
        assert!(page.contains("You have longer than others."), "{page}");
        place(&hand_in(&ben, &[("a.ipynb", "x")]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_hands_in_nothing() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let (ada, ben) = (
        stage.hub.signed_in("ada").await,
        stage.hub.signed_in("ben").await,
    );
    let of_ben = token(&ben.get(PS1).await.text());
    let own = token(&ada.get(PS1).await.text());
    let files = [("a.ipynb", "x")];
    let mut late = form("", &files);
    late = late.replace("--b--\r\n", "") + &form(&own, &[]);
    for body in [
        form("", &files),
        form(&of_ben, &files),
        // Behind the files it is not looked for.
        late.split_once("\r\n\r\n\r\n")
            .expect("a first part")
            .1
            .to_owned(),
    ] {
        send(&ada, Method::POST, PS1, &body).await.expect(403);
    }
    send(&stage.hub.client(), Method::POST, PS1, &form(&own, &files))
        .await
        .expect(302);
    let page = ada.get(PS1).await.text();
    assert!(page.contains("Nothing yet."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_looked_at_in_a_page_that_can_do_nothing() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let ada = stage.hub.signed_in("ada").await;
    let place = place(&hand_in(&ada, &[("page.html.ipynb", "x")]).await);
    let evil = "<script>fetch('/hub/logout')</script>";
    give_feedback(&stage, &place, evil).await;
    let page = ada.get(&place).await.expect(200).text();
    let look = format!("{place}/feedback/look?path=page.html");
    assert!(page.contains(&look), "{page}");
    assert!(!page.contains("look?path=points.csv"));
    let course = ada.get("/hub/courses/bio").await.text();
    assert!(course.contains("#feedback"), "{course}");
    let shown = ada.get(&look).await.expect(200);
    assert_eq!(shown.text(), evil);
    let policy = header(&shown, "content-security-policy");
    let sandbox = policy
        .split(';')
        .map(str::trim)
        .find(|one| one.starts_with("sandbox"));
    assert_eq!(sandbox, Some("sandbox"), "nothing is allowed: {policy}");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("script-src"), "{policy}");
    assert_eq!(header(&shown, "x-content-type-options"), "nosniff");
    assert_eq!(header(&shown, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&shown, "referrer-policy"), "no-referrer");
    assert_eq!(header(&shown, "x-dns-prefetch-control"), "off");
    // Browsers don't go to a page that is sandboxed and has one (HTML, "obtain a browsing context").
    let opener = shown.headers.get("cross-origin-opener-policy");
    assert!(opener.is_none(), "{opener:?}");
    assert_eq!(header(&shown, "cache-control"), "private, no-store");
    // Whatever else it is, it is kept.
    for path in ["points.csv", "none.html"] {
        let look = format!("{place}/feedback/look?path={path}");
        ada.get(&look).await.expect(404);
    }
    for path in [
        "file?path=page.html.ipynb",
        "feedback/file?path=page.html",
        "zip",
        "feedback/zip",
    ] {
        let kept = ada.get(&format!("{place}/{path}")).await.expect(200);
        assert!(
            header(&kept, "content-disposition").starts_with("attachment"),
            "{path}"
        );
        let policy = header(&kept, "content-security-policy");
        assert!(policy.starts_with("sandbox;"), "{path}: {policy}");
    }
    let ben = stage.hub.signed_in("ben").await;
    ben.get(&look).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_which_page() {
    const TABLE: &[(&str, [u16; 8])] = &[
        // nobody, eve (no member), tina (teaches another course), ben (another student), ada,
        // gina (grader), tess, root
        ("{course}", [302, 404, 404, 200, 200, 200, 200, 200]),
        ("{course}/people", [302, 404, 404, 404, 404, 200, 200, 200]),
        (
            "{course}/assignments/{assignment}",
            [302, 404, 404, 200, 200, 200, 200, 200],
        ),
        (
            "{course}/assignments/{assignment}/zip",
            [302, 404, 404, 404, 404, 200, 200, 200],
        ),
        (
            "{course}/assignments/{assignment}/versions/{version}/zip",
            [302, 404, 404, 200, 200, 200, 200, 200],
        ),
        (
            "{course}/assignments/{assignment}/people/{person}",
            [302, 404, 404, 404, 404, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/receipt",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/file",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/zip",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/feedback/file",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/feedback/look",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
        (
            "{course}/submissions/{submission}/feedback/zip",
            [302, 404, 404, 404, 200, 200, 200, 200],
        ),
    ];
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - MINUTE));
        let stage = stage(&db, &clock).await;
        let mut people = vec![stage.hub.client()];
        for name in ["eve", "tina", "ben", "ada", "gina", "tess", "root"] {
            people.push(stage.hub.signed_in(name).await);
        }
        let place = place(&hand_in(&people[4], &[("a.ipynb", "x")]).await);
        give_feedback(&stage, &place, "good").await;
        let id = place.rsplit('/').next().expect("its id");
        for (path, expect) in TABLE {
            let mut filled = path
                .replace("{course}", "bio")
                .replace("{assignment}", "ps1")
                .replace("{version}", "newest")
                .replace("{person}", "ada")
                .replace("{submission}", id);
            if path.ends_with("feedback/file") || path.ends_with("look") {
                filled.push_str("?path=page.html");
            } else if path.ends_with("/file") {
                filled.push_str("?path=a.ipynb");
            }
            let filled = format!("{PREFIX}{filled}");
            let mut told = Vec::new();
            for person in &people {
                told.push(person.get(&filled).await.status.as_u16());
            }
            assert_eq!(told, expect, "{path}");
        }
        for route in &stage.hub.routes {
            let Some(rest) = route.path.strip_prefix(PREFIX) else {
                continue;
            };
            let is_told = TABLE.iter().any(|(path, _)| *path == rest);
            assert!(is_told, "{rest} is not in the table");
        }
        let to_login = people[0].get(PS1).await;
        let back = "/hub/login?next=%2Fhub%2Fcourses%2Fbio%2Fassignments%2Fps1";
        assert_eq!(to_login.location(), back);
        let mut posted = Vec::new();
        for person in &people[1..] {
            let token = person.cookie("_xsrf").unwrap_or_default();
            let body = form(&token, &[("a.ipynb", "x")]);
            posted.push(send(person, Method::POST, PS1, &body).await.status.as_u16());
        }
        assert_eq!(posted, [404, 404, 303, 303, 303, 303, 303]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_and_private_courses() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let (ada, tess) = (
        stage.hub.signed_in("ada").await,
        stage.hub.signed_in("tess").await,
    );
    let token = token(&ada.get(PS1).await.text());
    stage.write_course("bio", &format!("{BIO}visible: archived\n"));
    let page = ada.get(PS1).await.expect(200).text();
    assert!(
        page.contains("archived") && !page.contains("data-hand-in"),
        "{page}"
    );
    let page = tess.get(PS1).await.expect(200).text();
    assert!(!page.contains("data-hand-in"), "{page}");
    let body = form(&token, &[("a.ipynb", "x")]);
    let refused = send(&ada, Method::POST, PS1, &body).await.expect(403);
    assert!(refused.text().contains("nothing is taken any more"));
    stage.write_course("bio", &format!("{BIO}visible: private\n"));
    for path in ["/hub/courses/bio", PS1] {
        ada.get(path).await.expect(404);
        tess.get(path).await.expect(200);
    }
    send(&ada, Method::POST, PS1, &body).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_take_a_private_course_are_not_gone_from_it() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let ada = stage.hub.signed_in("ada").await;
    hand_in(&ada, &[("a.ipynb", "x")]).await;
    stage.write_course("bio", &format!("{BIO}visible: private\n"));
    let tess = stage.hub.signed_in("tess").await;
    let page = tess.get(PS1).await.expect(200).text();
    assert!(page.contains("1 of 2 have handed in."), "{page}");
    assert!(!page.contains("not in the course"), "{page}");
    // Whoever is nothing there now is none of those who take it, and there are never more than all.
    let course = tess.get("/hub/courses/bio").await.expect(200).text();
    assert!(course.contains("1 of 1 have handed in."), "{course}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_handed_in_stays_hers_to_look_at() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - 10 * MINUTE));
        let stage = stage(&db, &clock).await;
        let (ada, ben) = (
            stage.hub.signed_in("ada").await,
            stage.hub.signed_in("ben").await,
        );
        let place = place(&hand_in(&ada, &[("a.ipynb", "x")]).await);
        let zip = format!("{PS1}/versions/newest/zip");
        let look = async |words: &str| {
            let course = ada.get("/hub/courses/bio").await.expect(200).text();
            let page = ada.get(PS1).await.expect(200).text();
            assert!(course.contains("ps1") && page.contains(&place), "{page}");
            assert!(course.contains(words) && page.contains(words), "{page}");
            for gone in ["data-hand-in", "/versions/newest/zip", "more time"] {
                assert!(!page.contains(gone), "{gone}: {page}");
                assert!(!course.contains(gone), "{gone}: {course}");
            }
            ada.get(&place).await.expect(200);
            ada.get(&zip).await.expect(404);
            // Who handed in nothing knows nothing of it.
            ben.get(PS1).await.expect(404);
            let course = ben.get("/hub/courses/bio").await.expect(200).text();
            assert!(!course.contains("ps1"), "{course}");
        };
        let early = BIO.replace("  ps1:\n", "  ps1:\n    opens: 2026-11-22 08:55\n");
        stage.write_course("bio", &early);
        look("not open yet").await;
        stage.write_course("bio", BIO);
        let tess = stage.asks("tess").await.0;
        let api = PS1.replacen("/hub/courses/", "/hub/api/lyceum/exchange/courses/", 1);
        let answer = tess.delete(&api).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        look("It has been withdrawn").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_told_that_nobody_is_logged_in() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let kind = [("content-type", KIND), ("accept", "application/json")];
    let body = form("", &[("a.ipynb", "x")]);
    let nobody = stage.hub.client();
    let answer = nobody.send(Method::POST, PS1, &kind, body.into()).await;
    let problem = answer.expect(401).json()["problem"].clone();
    let problem = problem.as_str().expect("words").to_owned();
    assert!(
        problem.starts_with("You are not logged in any more, so nothing"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_added_by_a_request_hands_in_as_others_do() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let eve = stage.hub.signed_in("eve").await;
    eve.get(PS1).await.expect(404);
    let root = stage.asks("root").await;
    root.post("student/bio/eve", &crate::kit::NAMELESS)
        .await
        .expect(200);
    let course = eve.get("/hub/courses/bio").await.expect(200).text();
    assert!(course.contains("ps1"), "{course}");
    assert!(!course.contains("/people"), "{course}");
    let place = place(&hand_in(&eve, &[("a.ipynb", "x")]).await);
    eve.get(&place).await.expect(200);
    let tess = stage.hub.signed_in("tess").await;
    let page = tess.get(PS1).await.expect(200).text();
    assert!(page.contains("1 of 3 have handed in."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_once_more_is_the_same() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - 10 * MINUTE));
        let stage = stage(&db, &clock).await;
        let ada = stage.hub.signed_in("ada").await;
        let token = token(&ada.get(PS1).await.text());
        let by_form = async |content: &str| {
            let body = form(&token, &[("a.ipynb", content)]);
            send(&ada, Method::POST, PS1, &body).await
        };
        let first = place(&by_form("x").await);
        assert_eq!(place(&by_form("x").await), first);
        let second = place(&by_form("y").await);
        assert_ne!(second, first);
        // Both tries are used up.
        assert_eq!(place(&by_form("y").await), second);
        by_form("x").await.expect(409);
        clock.advance(MINUTE);
        let answer = by_form("y").await.expect(409).text();
        assert!(
            answer.contains("as often as it is taken, which is 2 times"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_where_the_assignment_has_one_of_their_name() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - MINUTE));
        let stage = stage(&db, &clock).await;
        let tess = stage.asks("tess").await.0;
        let path = "/hub/api/lyceum/exchange/courses/bio/assignments/ps1/versions";
        let handed_out = [
            "data/x.csv",
            "a/two.csv",
            "b/two.csv",
            "one.csv",
            "c/one.csv",
        ];
        let parts = handed_out.map(|name| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n?\r\n")
        });
        let body = format!("{}--b--\r\n", parts.concat());
        send(&tess, Method::POST, path, &body).await.expect(201);
        let ada = stage.hub.signed_in("ada").await;
        // Of a kind that is taken because it was handed out.
        let answer = hand_in(&ada, &[("x.csv", "1"), ("one.csv", "2")]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert!(
            answer.location().ends_with("?done=placed"),
            "{}",
            answer.location()
        );
        let page = ada.get(answer.location()).await.expect(200).text();
        let told = "Put where the assignment has a file of that name: <bdi>data/x.csv</bdi></p>";
        assert!(page.contains(told), "{page}");
        assert!(page.contains("<bdi>one.csv</bdi>"), "{page}");
        // It could be one or the other.
        let refused = hand_in(&ada, &[("two.csv", "1")]).await.expect(400).text();
        assert!(
            refused.contains("A file like two.csv is not taken"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_files_that_are_downloaded() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE - MINUTE));
    let stage = stage(&db, &clock).await;
    let ada = stage.hub.signed_in("ada").await;
    let files = [("ä%22b.ipynb", "x"), ("c\\d.ipynb", "y")];
    let place = place(&hand_in(&ada, &files).await);
    for (name, content) in [("ä\"b.ipynb", "x"), ("c\\d.ipynb", "y")] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("path", name)
            .finish();
        let file = ada.get(&format!("{place}/file?{query}")).await.expect(200);
        assert_eq!(file.text(), content);
        let disposition = file.headers["content-disposition"].as_bytes();
        let disposition = String::from_utf8_lossy(disposition).into_owned();
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        // No quotation mark ends the name too early.
        assert!(disposition.matches('"').count() <= 2, "{disposition}");
        assert!(disposition.is_ascii(), "{disposition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_teach_see_what_came_in() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - MINUTE));
        let stage = stage(&db, &clock).await;
        let (ada, ben, gina, tess) = (
            stage.hub.signed_in("ada").await,
            stage.hub.signed_in("ben").await,
            stage.hub.signed_in("gina").await,
            stage.hub.signed_in("tess").await,
        );
        let first = place(&hand_in(&ada, &[("a.ipynb", "x")]).await);
        clock.advance(10 * MINUTE);
        hand_in(&ada, &[("a.ipynb", "y")]).await;
        // Who teaches tries, and is none of those who take it.
        hand_in(&tess, &[("a.ipynb", "z")]).await;
        give_feedback(&stage, &first, "good").await;
        let course = tess.get("/hub/courses/bio").await.expect(200).text();
        for words in [
            "1 of 2 have handed in. 1 is late. 1 waits for feedback.",
            "ps9",
            "Not released yet.",
            "not open yet",
            "2 take this course.",
            "/services/bio/",
            "for a student",
            "env OF_THE_COURSE",
        ] {
            assert!(course.contains(words), "{words}: {course}");
        }
        // What the site's environment holds is nobody's business here, the course's no grader's.
        assert!(!course.contains("OF_THE_SITE"));
        let seen = gina.get("/hub/courses/bio").await.expect(200).text();
        assert!(
            seen.contains("for a student") && !seen.contains("OF_THE_"),
            "{seen}"
        );

        let rows = async |query: &str| {
            let page = tess.get(&format!("{PS1}?{query}")).await.expect(200).text();
            let (_, table) = page.split_once("id=\"work\"").expect("a table");
            let names = ["ada", "ben", "tess"];
            let there = |name: &&str| {
                table.contains(&format!("scope=\"row\">{name}"))
                    || table.contains(&format!("/people/{name}\">{name}</a>"))
            };
            names.into_iter().filter(there).collect::<Vec<_>>()
        };
        assert_eq!(rows("").await, ["ada", "ben", "tess"]);
        assert_eq!(rows("q=AD").await, ["ada"]);
        assert_eq!(rows("state=missing").await, ["ben"]);
        // What those who teach tried is no student's.
        assert_eq!(rows("state=given").await, ["ada"]);
        assert_eq!(rows("state=late").await, ["ada"]);
        assert_eq!(rows("state=waiting&sort=-handed_in").await, ["ada"]);
        assert_eq!(rows("limit=1&offset=1").await, ["ben"]);
        let work = tess
            .get(&format!("{PS1}/people/ada"))
            .await
            .expect(200)
            .text();
        assert_eq!(work.matches("scope=\"row\"").count(), 2, "{work}");
        tess.get(&format!("{PS1}/people/nobody")).await.expect(404);
        tess.get(&format!("{PS1}/people/ben")).await.expect(200);

        let people = tess.get("/hub/courses/bio/people").await.expect(200).text();
        for words in ["ada", "gina", "tess", "by name in the course"] {
            assert!(people.contains(words), "{words}: {people}");
        }
        let root = stage.asks("root").await;
        let none = [("first_name", "Eve"), ("last_name", "Hill"), ("email", "")];
        root.post("student/bio/eve", &none).await.expect(200);
        let path = "/hub/courses/bio/people?q=hill&role=student";
        let people = tess.get(path).await.expect(200).text();
        assert!(people.contains("Eve Hill") && people.contains("added by a request"));
        assert!(!people.contains("scope=\"row\">ada"), "{people}");
        // One who is gone from the course is still there with what she handed in.
        stage.write_course(
            "bio",
            &BIO.replace("students: [ada, ben]", "students: [ben]"),
        );
        let page = tess.get(PS1).await.expect(200).text();
        for words in [
            "not in the course",
            "0 of 2 have handed in.",
            "Beside them, 1 who is not in the course has handed in.",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        ada.get(&first).await.expect(404);
        drop(ben);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_with_any_name() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    let root = stage.asks("root").await;
    let made = [("instructors", r#"["tess"]"#)];
    let name = "A b%20 ä?#&";
    let written = url::form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    root.post(&format!("course/{written}"), &made)
        .await
        .expect(200);
    let tess = stage.asks("tess").await;
    tess.post_files(&format!("assignment/{written}/{written}"), &[("a", "?")])
        .await
        .expect(200);
    let tess = stage.hub.signed_in("tess").await;
    let course = tess
        .get(&format!("/hub/courses/{written}"))
        .await
        .expect(200);
    let link = lyceum_exchange::pages::assignment_path(name, name);
    assert!(course.text().contains(&link), "{link}: {}", course.text());
    let page = tess.get(&link).await.expect(200).text();
    assert!(page.contains("A b%20 ä?#&amp;"), "{page}");
    let body = form(&token(&page), &[("a", "x")]);
    let place = place(&send(&tess, Method::POST, &link, &body).await);
    tess.get(&place).await.expect(200);
    tess.get(&format!("{link}/people/tess")).await.expect(200);
}
