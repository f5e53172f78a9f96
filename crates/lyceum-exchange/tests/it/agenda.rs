//! What is to be done in courses, for those who take them and those who teach.

use std::sync::Arc;

use lyceum_courses::{Course, CourseId};
use lyceum_exchange::agenda::{self, Agenda, Arrivals, Asking};
use lyceum_hub::db as tables;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_testkit::TestDb;

use crate::kit::{Stage, done, files};

/// 9 o'clock in Berlin on 22 November 2026.
const NOW: i64 = 1_795_334_400_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// After so long those who grade see what came in.
const SOON: i64 = 10_000;

type Courses = Vec<(CourseId, Arc<Course>)>;

/// Of all courses, those that she can't see among them.
async fn asked(stage: &Stage, name: &str, groups: &[&str]) -> Vec<Agenda> {
    let shelf = stage.exchange.shelf();
    let courses = shelf.ids().into_iter();
    let courses = courses.filter_map(|id| Some((id.clone(), shelf.course(&id)?)));
    asked_of(stage, name, groups, courses.collect()).await
}

/// Of those alone of which her page knows nothing.
async fn asked_beside(stage: &Stage, name: &str, groups: &[&str]) -> Vec<Agenda> {
    asked_of(stage, name, groups, Vec::new()).await
}

async fn asked_of(stage: &Stage, name: &str, groups: &[&str], courses: Courses) -> Vec<Agenda> {
    let name = UserName::parse(name).expect("a name");
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let asking = Asking {
        name: &name,
        groups: &groups,
    };
    let told = agenda::of(&stage.exchange, asking, &courses).await;
    told.expect("told")
}

/// `bio ps1 due in 60 min`, and what else there is to say, in the order of the names.
fn open(agendas: &[Agenda]) -> Vec<String> {
    let mut told = Vec::new();
    for agenda in agendas {
        for one in &agenda.open {
            let due = one.terms.map_or("at any time".to_owned(), |terms| {
                let left = terms.due.as_millisecond() - NOW;
                format!("due in {} min", left / MINUTE)
            });
            let late = if one.is_late { ", late" } else { "" };
            let done = match (one.handed_in.is_some(), one.again) {
                (false, _) => "",
                (true, true) => ", handed in",
                (true, false) => ", handed in for the last time",
            };
            told.push(format!(
                "{} {} {due}{late}{done}",
                agenda.course, one.assignment
            ));
        }
    }
    told.sort();
    told
}

async fn release(stage: &Stage, paths: &[&str]) {
    let tess = stage.asks("tess").await;
    for path in paths {
        let given = [("ps.ipynb", "?")];
        done(&tess.post_files(&format!("assignment/{path}"), &given).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_handed_in_now_and_by_whom() {
    const BIO: &str = "title: Biology
people:
  teachers: [tess]
  students: [ada, ben, 'group:late']
  labels: {extra-time: [ben]}
assignments:
  ps1: {due: 2026-11-22 10:00, late: {until: 1h}, extend: {extra-time: 1d}, limits: {submissions: 1}}
  ps2: {opens: 2026-11-22 09:30, due: 2026-11-23 09:00}
  planned: {due: 2026-11-23 09:00}
";
    const SECRET: &str =
        "title: Secret\npeople: {teachers: [tess], students: [ada]}\nvisible: private\n";
    const OTHER: &str = "title: Other\npeople: {teachers: [tess], students: [eve]}\n";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock.clone()).await;
        stage.write_course("bio", BIO);
        stage.write_course("secret", SECRET);
        stage.write_course("other", OTHER);
        let all = [
            "bio/ps1", "bio/ps2", "bio/hw", "bio/gone", "secret/x", "other/y",
        ];
        release(&stage, &all).await;
        let tess = stage.asks("tess").await;
        done(&tess.delete("assignment/bio/gone").await);
        // Neither what opens later, nor what only the file names, nor what was taken back, nor what stands
        // in courses that she may not know.
        let expect = ["bio hw at any time", "bio ps1 due in 60 min"];
        assert_eq!(open(&asked(&stage, "ada", &[]).await), expect);
        let expect = ["bio hw at any time", "bio ps1 due in 1500 min"];
        assert_eq!(open(&asked(&stage, "ben", &[]).await), expect);
        assert_eq!(
            open(&asked(&stage, "eve", &[]).await),
            ["other y at any time"]
        );
        assert_eq!(open(&asked(&stage, "eve", &["late"]).await).len(), 3);
        assert!(asked(&stage, "root", &[]).await.is_empty());

        let ada = stage.asks("ada").await;
        ada.submit("submission/bio/hw", &[]).await;
        ada.submit("submission/bio/hw", &[]).await;
        ada.submit("submission/bio/ps1", &[]).await;
        let expect = [
            "bio hw at any time, handed in",
            "bio ps1 due in 60 min, handed in for the last time",
        ];
        assert_eq!(open(&asked(&stage, "ada", &[]).await), expect);
        assert!(
            !open(&asked(&stage, "ben", &[]).await)
                .join(" ")
                .contains("handed")
        );

        clock.advance(60 * MINUTE);
        let open_at = async |name: &str| open(&asked(&stage, name, &["late"]).await);
        assert_eq!(open_at("eve").await[2], "bio ps2 due in 1440 min");
        assert_eq!(open_at("eve").await[1], "bio ps1 due in 60 min");
        clock.advance(1);
        assert_eq!(open_at("eve").await[1], "bio ps1 due in 60 min, late");
        assert_eq!(open_at("ben").await[1], "bio ps1 due in 1500 min");
        clock.advance(60 * MINUTE);
        let left = [
            "bio hw at any time",
            "bio ps2 due in 1440 min",
            "other y at any time",
        ];
        assert_eq!(open_at("eve").await, left);

        // Who was added by request belongs to it, too.
        let added = tess.post("student/other/ada", &crate::kit::NAMELESS).await;
        added.expect(200);
        let expect = "other y at any time";
        assert!(open_at("ada").await.iter().any(|told| told == expect));
        stage.write_course("bio", &format!("{BIO}visible: archived\n"));
        let teaches = asked(&stage, "tess", &[]).await;
        assert!(teaches.iter().all(|agenda| agenda.open.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_those_who_teach() {
    const BIO: &str = "title: Biology
people:
  teachers: [tess]
  graders: [ben]
  students: [ada, tess, 'group:takers']
assignments:
  ps1: {due: 2026-11-22 10:00}
  ps2: {opens: 2026-11-22 09:30, due: 2026-11-23 09:00}
";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock.clone()).await;
        stage.write_course("bio", BIO);
        stage.write_course("art", "title: Art\npeople: {teachers: [eve]}\n");
        put_in_group(&stage, "takers", &["ada", "eve"]).await;
        // Of large groups nobody is read.
        let mut tx = stage.exchange.db().read().await.expect("a transaction");
        for (most, expect) in [(1, None), (2, Some(2))] {
            let groups = stage.exchange.groups();
            let told = groups.members_of_all(&mut tx, &["takers"], most).await;
            assert_eq!(told.expect("told").map(|all| all.len()), expect);
        }
        drop(tx);
        release(&stage, &["bio/ps1", "bio/ps2", "bio/hw"]).await;
        let arrivals = async |name: &str| -> Vec<Arrivals> {
            let agendas = asked(&stage, name, &["takers"]).await.into_iter();
            agendas.flat_map(|agenda| agenda.arrivals).collect()
        };
        let told = async || -> Vec<(String, u64, Option<u64>, u64)> {
            let arrivals = arrivals("tess").await.into_iter();
            arrivals
                .map(|one| (one.assignment, one.given, one.students, one.waiting))
                .collect()
        };
        let row = |name: &str, given: u64, waiting: u64| (name.to_owned(), given, Some(2), waiting);
        // Nobody waits, but something is about to come.
        assert_eq!(told().await, [row("ps1", 0, 0)]);
        // One who takes it sees nothing of that, whatever else she teaches.
        for student in ["ada", "eve", "root"] {
            assert_eq!(arrivals(student).await, [], "{student}");
        }
        let (ada, eve) = (stage.asks("ada").await, stage.asks("eve").await);
        let (tess, ben) = (stage.asks("tess").await, stage.asks("ben").await);
        // Those who teach and grade try.
        tess.submit("submission/bio/ps1", &[]).await;
        ben.submit("submission/bio/ps1", &[]).await;
        let first = ada.submit("submission/bio/ps1", &[]).await;
        clock.advance(MINUTE);
        let second = ada.submit("submission/bio/ps1", &[]).await;
        eve.submit("submission/bio/hw", &[]).await;
        assert_eq!(told().await, [row("ps1", 1, 1), row("hw", 1, 1)]);
        assert_eq!(arrivals("ben").await, arrivals("tess").await);
        let newest = arrivals("tess").await[0].newest.expect("some");
        assert_eq!(newest.to_millis(), NOW + MINUTE);

        let give = async |at: &str| {
            let good = files(&[("ps.html", "well done")]);
            let fields = [("timestamp", at), ("files", good.as_str())];
            done(&tess.post("feedback/bio/ps1/ada", &fields).await);
        };
        let returned = async |name: &str| -> Vec<String> {
            let agendas = asked(&stage, name, &["takers"]).await.into_iter();
            let returned = agendas.flat_map(|agenda| agenda.returned);
            returned.map(|back| back.assignment).collect()
        };
        // What came before her newest is not what she waits for.
        give(&first).await;
        clock.advance(SOON);
        assert_eq!(told().await[0], row("ps1", 1, 1));
        assert_eq!(returned("ada").await, ["ps1"]);
        give(&second).await;
        clock.advance(SOON);
        // What somebody waits for comes first.
        assert_eq!(told().await, [row("hw", 1, 1), row("ps1", 1, 0)]);
        assert!(returned("eve").await.is_empty());
        clock.advance(2 * DAY);
        // It is over and nobody waits; the other is over, too, and nobody has handed it in.
        assert_eq!(told().await, [row("hw", 1, 1)]);
        clock.advance(13 * DAY);
        assert!(returned("ada").await.is_empty());
    }
}

/// As the agenda has it: `bio: student of "Biology"`.
fn added(agendas: &[Agenda]) -> Vec<String> {
    let told = agendas.iter().filter_map(|agenda| {
        let added = agenda.added.as_ref()?;
        let (role, title) = (added.role.as_str(), &added.title);
        Some(format!("{}: {role} of {title:?}", agenda.course))
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_added_by_a_request_is_told_as_well() {
    const BIO: &str = "title: Biology
people: {teachers: [tess], students: [ben]}
assignments: {ps1: {due: 2026-11-22 10:00}}
";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock.clone()).await;
        stage.write_course("bio", BIO);
        release(&stage, &["bio/ps1"]).await;
        let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
        // One that no file describes, under a name that no file could have.
        let instructors = [("instructors", r#"["eve"]"#)];
        done(&root.post("course/Art%20%26%20craft", &instructors).await);
        let eve = stage.asks("eve").await;
        for (who, path) in [
            (&eve, "student/Art%20%26%20craft/ada"),
            (&root, "instructor/Art%20%26%20craft/ben"),
            (&tess, "student/bio/ada"),
            (&root, "instructor/bio/eve"),
        ] {
            who.post(path, &crate::kit::NAMELESS).await.expect(200);
        }
        let given = [("ps.ipynb", "?")];
        let path = "assignment/Art%20%26%20craft/sketch";
        done(&eve.post_files(path, &given).await);
        // Her page has none of them: she is in no file.
        let told = async |name: &str| asked_beside(&stage, name, &[]).await;
        let ada = told("ada").await;
        let expect = [
            "Art & craft: student of \"Art & craft\"",
            "bio: student of \"Biology\"",
        ];
        assert_eq!(added(&ada), expect);
        let expect = ["Art & craft sketch at any time", "bio ps1 due in 60 min"];
        assert_eq!(open(&ada), expect);
        // Whom a file names as well is no stranger to it.
        let expect = ["Art & craft: teacher of \"Art & craft\""];
        assert_eq!(added(&told("ben").await), expect);
        let ben = asked(&stage, "ben", &[]).await;
        assert_eq!(added(&ben), expect);
        assert_eq!(open(&ben), ["bio ps1 due in 60 min"]);

        stage
            .asks("ada")
            .await
            .submit("submission/bio/ps1", &[])
            .await;
        let eves = told("eve").await;
        let expect = [
            "Art & craft: teacher of \"Art & craft\"",
            "bio: teacher of \"Biology\"",
        ];
        assert_eq!(added(&eves), expect);
        let came = &eves[1].arrivals[0];
        assert_eq!((came.given, came.students, came.waiting), (1, Some(2), 1));
        assert!(told("root").await.is_empty());

        // As for all others nothing is to be done in a course that is over, and of one that is not open
        // yet only those are told who teach it.
        stage.write_course("bio", &format!("{BIO}visible: private\n"));
        assert_eq!(added(&told("ada").await).len(), 1);
        assert_eq!(added(&told("eve").await).len(), 2);
        stage.write_course("bio", &format!("{BIO}visible: archived\n"));
        let eves = told("eve").await;
        assert_eq!(added(&eves), expect);
        let over = &eves[1];
        assert!(over.added.as_ref().is_some_and(|added| added.archived));
        assert!(over.open.is_empty() && over.returned.is_empty() && over.arrivals.is_empty());
        // A file that can't be read may have rules: nothing is taken meanwhile.
        done(&root.post("course/zoo", &instructors).await);
        assert_eq!(added(&told("eve").await).len(), 3);
        stage.write_course_as_it_is("zoo", "titel: Zoo");
        assert_eq!(added(&told("eve").await).len(), 2);
        done(&root.delete("course/Art%20%26%20craft").await);
        let expect = ["bio: student of \"Biology\""];
        assert_eq!(added(&told("ada").await), expect);
        assert_eq!(open(&told("ada").await), [""; 0]);
    }
}

/// A student of the file who helps to teach meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn whom_a_request_made_more_than_the_file_is_told_as_what_she_became() {
    const BIO: &str = "title: Biology
people: {teachers: [tess], graders: [gus], students: [ben, ada]}
assignments: {ps1: {due: 2026-11-22 10:00}}
";
    let db = TestDb::sqlite().await;
    let stage = Stage::set_at(&db, Clock::manual(Millis(NOW))).await;
    stage.write_course("bio", BIO);
    release(&stage, &["bio/ps1"]).await;
    let root = stage.asks("root").await;
    for path in ["instructor/bio/ben", "student/bio/ada"] {
        root.post(path, &crate::kit::NAMELESS).await.expect(200);
    }
    for (name, expect) in [
        ("ben", vec!["bio: teacher of \"Biology\""]),
        ("gus", vec![]),
        ("ada", vec![]),
    ] {
        assert_eq!(added(&asked(&stage, name, &[]).await), expect, "{name}");
    }
}

/// In large courses that is much to count, and many look.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_is_counted_every_few_seconds_and_what_is_ones_own_at_each_look() {
    const BIO: &str = "title: Biology
people: {teachers: [tess], graders: [ben], students: [ada, eve]}
assignments: {ps1: {due: 2026-11-22 10:00}}
";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock.clone()).await;
        stage.write_course("bio", BIO);
        release(&stage, &["bio/ps1"]).await;
        let given = async |name: &str| asked(&stage, name, &[]).await[0].arrivals[0].given;
        assert_eq!(given("tess").await, 0);
        let ada = stage.asks("ada").await;
        ada.submit("submission/bio/ps1", &[]).await;
        let hers = open(&asked(&stage, "ada", &[]).await);
        assert_eq!(hers, ["bio ps1 due in 60 min, handed in"]);
        clock.advance(SOON / 2);
        assert_eq!((given("tess").await, given("ben").await), (0, 0));
        clock.advance(SOON / 2);
        assert_eq!((given("ben").await, given("tess").await), (1, 1));
    }
}

async fn put_in_group(stage: &Stage, group: &str, names: &[&str]) {
    let mut tx = stage.exchange.db().write().await.expect("a transaction");
    let now = stage.exchange.now();
    tables::groups::ensure(&mut tx, group, now)
        .await
        .expect("made");
    for name in names {
        let name = UserName::parse(name).expect("a name");
        let user = tables::users::find(&mut tx, &name).await.expect("asked");
        let user = user.expect("somebody");
        let put = tables::groups::add_member(&mut tx, group, &user.id).await;
        put.expect("put in");
    }
    tx.commit().await.expect("written");
}

/// As much as one person can have.
#[tokio::test(flavor = "multi_thread")]
async fn many_courses_with_much_in_them() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock).await;
        for at in 0..40 {
            let rules = "assignments: {ps1: {due: 2026-11-22 10:00}, ps2: {due: 2026-11-23 10:00}}";
            let people = "people: {teachers: [tess], students: [ada, ben]}";
            stage.write_course(&format!("c{at}"), &format!("title: C\n{people}\n{rules}\n"));
        }
        for at in 0..40 {
            release(&stage, &[&format!("c{at}/ps1"), &format!("c{at}/ps2")]).await;
        }
        let ada = asked(&stage, "ada", &[]).await;
        assert_eq!((ada.len(), open(&ada).len()), (40, 80));
        let tess = asked(&stage, "tess", &[]).await;
        let arrivals = tess.iter().flat_map(|agenda| &agenda.arrivals);
        let arrivals: Vec<&str> = arrivals.map(|one| one.assignment.as_str()).collect();
        // No more are counted than these, those that are due next.
        assert_eq!(arrivals, ["ps1"; 20]);
        assert!(asked(&stage, "eve", &[]).await.is_empty());
    }
}

/// Sheets of a whole term, all there from the first week on, don't hide the one that people wait for.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_comes_before_what_is_far_off() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(NOW));
        let stage = Stage::set_at(&db, clock.clone()).await;
        let sheets =
            (1..=13).map(|week| format!("  ps{week:02}: {{due: 2026-12-{week:02} 10:00}}"));
        let sheets: Vec<String> = sheets.collect();
        let people = "people: {teachers: [tess], students: [ada, ben]}";
        let file = format!("title: C\n{people}\nassignments:\n{}\n", sheets.join("\n"));
        stage.write_course("bio", &file);
        let names: Vec<String> = (1..=13).map(|week| format!("bio/ps{week:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        release(&stage, &names).await;
        let ada = stage.asks("ada").await;
        for sheet in ["ps01", "ps02"] {
            ada.submit(&format!("submission/bio/{sheet}"), &[]).await;
        }
        // On the fifth of December two are over, the third is due next.
        clock.advance(13 * DAY);
        let told = asked(&stage, "tess", &[]).await;
        let told = told[0].arrivals.iter().map(|one| one.assignment.as_str());
        let first: Vec<&str> = told.take(4).collect();
        assert_eq!(first, ["ps02", "ps01", "ps05", "ps06"]);
    }
}
