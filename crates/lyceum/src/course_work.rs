//! "What is to be done in Ada's courses?": the hub's question, answered from course files and the
//! exchange.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use lyceum_courses::shelf::{self, Seen};
use lyceum_courses::{Course, CourseId, Problem, Role, Shelf};
use lyceum_exchange::agenda::{self, Agenda, Asking};
use lyceum_exchange::moment::Moment;
use lyceum_exchange::pages::assignment_path;
use lyceum_exchange::{Exchange, SERVICE};
use lyceum_hub::course_work::{AddedTo, Arrivals, CourseWork, Feedback, Mistake, Task};
use lyceum_model::clock::Millis;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::caller::Who;
use lyceum_web::{Caller, Person};

/// `exchange`: where it is this one that answers.
pub(crate) async fn of(
    shelf: &Shelf,
    exchange: Option<&Exchange>,
    caller: &Caller,
) -> anyhow::Result<Vec<CourseWork>> {
    let Who::Person(person) = &caller.who else {
        return Ok(Vec::new());
    };
    let seen = shelf.seen_by(&person.name, &person.groups);
    // Who may not ask the exchange hears nothing of it on a page either.
    let exchange =
        exchange.filter(|_| caller.may(ScopeName::AccessServices, Target::Service(SERVICE)));
    let mut work = match exchange {
        Some(exchange) => of_exchange(exchange, person, &seen).await?,
        None => Vec::new(),
    };
    for (course, mistakes) in mistakes(shelf, &seen) {
        let rest_holds = shelf.is_newest(course);
        let known = work.iter_mut().find(|work| work.course == course.as_str());
        match known {
            Some(known) => (known.mistakes, known.rest_holds) = (mistakes, rest_holds),
            None => work.push(CourseWork {
                course: course.to_string(),
                mistakes,
                rest_holds,
                ..CourseWork::default()
            }),
        }
    }
    Ok(work)
}

async fn of_exchange(
    exchange: &Exchange,
    person: &Person,
    seen: &[Seen],
) -> anyhow::Result<Vec<CourseWork>> {
    let asking = Asking {
        name: &person.name,
        groups: &person.groups,
    };
    let courses: Vec<(CourseId, Arc<Course>)> = seen
        .iter()
        .map(|seen| (seen.id.clone(), seen.course.clone()))
        .collect();
    let agendas = agenda::of(exchange, asking, &courses).await?;
    Ok(agendas.into_iter().map(told).collect())
}

/// What is wrong with the files of the courses that she teaches.
fn mistakes<'a>(
    shelf: &'a Shelf,
    seen: &'a [Seen],
) -> impl Iterator<Item = (&'a CourseId, Vec<Mistake>)> {
    let taught = seen
        .iter()
        .filter(|seen| seen.roles.contains(&Role::Teacher));
    taught.filter_map(|seen| {
        let problems = shelf.problems_of(&seen.id);
        let mistakes: Vec<Mistake> = problems.into_iter().map(mistake).collect();
        (!mistakes.is_empty()).then_some((&seen.id, mistakes))
    })
}

/// Of a file beside the course's own its name is told.
fn mistake(problem: Problem) -> Mistake {
    let line = problem.place.map(|place| place.line);
    if !shelf::is_of_roster(&problem) {
        let words = problem.message;
        return Mistake { line, words };
    }
    let file = Path::new(&problem.file).file_name();
    let file = file.map_or_else(
        || problem.file.clone().into(),
        |file| file.to_string_lossy(),
    );
    let at = line.map_or_else(String::new, |line| format!(":{line}"));
    Mistake {
        line: None,
        words: format!("{file}{at}: {}", problem.message),
    }
}

fn told(agenda: Agenda) -> CourseWork {
    let added = agenda.added.map(|added| AddedTo {
        title: added.title,
        term: added.term,
        role: added.role,
        archived: added.archived,
    });
    CourseWork {
        added,
        tasks: agenda
            .open
            .into_iter()
            .map(|open| task(&agenda.course, open))
            .collect(),
        feedback: agenda
            .returned
            .into_iter()
            .map(|back| Feedback {
                name: back.assignment,
                at: Millis(back.at),
            })
            .collect(),
        arrivals: agenda
            .arrivals
            .into_iter()
            .map(|one| arrivals(&agenda.course, one))
            .collect(),
        course: agenda.course,
        mistakes: Vec::new(),
        rest_holds: false,
    }
}

fn task(course: &str, open: agenda::Open) -> Task {
    Task {
        page: Some(assignment_path(course, &open.assignment)),
        name: open.assignment,
        due: open.terms.map(|terms| millis(terms.due)),
        in_time_until: open.terms.map(|terms| millis(terms.in_time)),
        taken_until: open.terms.and_then(|terms| terms.ends).map(millis),
        late: open.is_late,
        handed_in: open.handed_in.map(of_moment),
        again: open.again,
    }
}

fn arrivals(course: &str, one: agenda::Arrivals) -> Arrivals {
    Arrivals {
        page: Some(assignment_path(course, &one.assignment)),
        name: one.assignment,
        due: one.due.map(millis),
        given: one.given,
        students: one.students,
        waiting: one.waiting,
        newest: one.newest.map(of_moment),
    }
}

fn millis(at: Timestamp) -> Millis {
    Millis(at.as_millisecond())
}

fn of_moment(at: Moment) -> Millis {
    Millis(at.to_millis())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_trait::async_trait;
    use lyceum_courses::Site;
    use lyceum_exchange::receipt::Signer;
    use lyceum_exchange::{Groups, Limits, Parts, db};
    use lyceum_model::clock::Clock;
    use lyceum_model::name::UserName;
    use lyceum_model::scope::{Filter, Members, Scope, ScopeSet};
    use lyceum_store::Tx;
    use lyceum_store::blobs::{Blobs, Disk};
    use lyceum_testkit::TestDb;
    use lyceum_web::Credential;

    use super::*;

    const BIO: &str = "title: Biology
people: {teachers: [tess], students: [ada]}
assignments:
  ps1: {due: 2026-11-22 10:00, grace: 5m, late: {until: 1h}}
  ps2: {opens: 2026-11-22 09:30, due: 2026-11-23 09:00}
";
    /// 8 o'clock on 22 November 2026.
    const NOW: i64 = 1_795_334_400_000;
    const MINUTE: i64 = 60_000;

    struct NoGroups;

    #[async_trait]
    impl Groups for NoGroups {
        async fn of(&self, _: &mut Tx, _: &UserName) -> sqlx::Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn members(&self, _: &mut Tx, _: &str) -> sqlx::Result<BTreeSet<UserName>> {
            Ok(BTreeSet::new())
        }

        async fn members_of_all(
            &self,
            _: &mut Tx,
            _: &[&str],
            _: usize,
        ) -> sqlx::Result<Option<Vec<(String, UserName)>>> {
            Ok(Some(Vec::new()))
        }
    }

    fn caller(name: &str, scopes: &[Scope]) -> Caller {
        Caller {
            who: Who::Person(Person {
                id: name.into(),
                name: UserName::parse(name).expect("a name"),
                display_name: None,
                admin: false,
                groups: Vec::new(),
            }),
            credential: Credential::Session {
                id: name.into(),
                binding: name.into(),
            },
            scopes: Arc::new(scopes.iter().cloned().collect::<ScopeSet>()),
            members: Arc::new(Members::default()),
            from: None,
        }
    }

    /// Released under these names.
    async fn release(exchange: &Exchange, course: &str, names: &[&str]) {
        let mut tx = exchange.db().write().await.expect("a transaction");
        let inserted = db::courses::insert(&mut tx, course, course).await;
        inserted.expect("inserted");
        for name in names {
            let id = format!("{course}/{name}");
            let inserted = db::assignments::insert(&mut tx, &id, course, name, NOW).await;
            assert!(inserted.expect("inserted"));
        }
        tx.commit().await.expect("written");
    }

    /// By a request, as a student.
    async fn add(exchange: &Exchange, course: &str, name: &str) {
        let mut tx = exchange.db().write().await.expect("a transaction");
        let row = db::people::Row {
            name: name.into(),
            role: Some("student".into()),
            ..db::people::Row::default()
        };
        let put = db::people::put(&mut tx, course, &row).await;
        put.expect("put");
        tx.commit().await.expect("written");
    }

    #[tokio::test]
    async fn what_is_to_be_done_is_told_to_those_whom_it_concerns() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bio.yaml");
        std::fs::write(&file, BIO).expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        assert_eq!(shelf.problems(), []);
        let db = TestDb::sqlite().await;
        let clock = Clock::manual(Millis(NOW));
        let blobs = Disk::open(&folder.path().join("blobs")).await;
        let exchange = Exchange::new(Parts {
            db: db.db().clone(),
            clock: clock.clone(),
            blobs: Blobs::Disk(blobs.expect("opened")),
            shelf: shelf.clone(),
            groups: Arc::new(NoGroups),
            signer: Signer::new([5; 32]),
            body_max: 1,
            limits: Limits::default(),
            space: |_| None,
            disk: folder.path().to_owned(),
        });
        release(&exchange, "bio", &["ps1", "ps2"]).await;
        let may = Scope::new(
            ScopeName::AccessServices,
            Filter::Service(SERVICE.to_owned()),
        );
        let asked = async |name: &str| {
            let caller = caller(name, std::slice::from_ref(&may));
            of(&shelf, Some(&exchange), &caller).await.expect("told")
        };
        let ps1 = Task {
            name: "ps1".into(),
            due: Some(Millis(NOW + 120 * MINUTE)),
            in_time_until: Some(Millis(NOW + 125 * MINUTE)),
            taken_until: Some(Millis(NOW + 180 * MINUTE)),
            again: true,
            page: Some("/hub/courses/bio/assignments/ps1".into()),
            ..Task::default()
        };
        let hers = CourseWork {
            course: "bio".into(),
            tasks: vec![ps1.clone()],
            ..CourseWork::default()
        };
        assert_eq!(asked("ada").await, [hers]);
        assert_eq!(asked("eve").await, []);
        add(&exchange, "bio", "eve").await;
        let told = asked("eve").await;
        let added = AddedTo {
            title: "Biology".into(),
            term: None,
            role: Role::Student,
            archived: false,
        };
        assert_eq!(told[0].added, Some(added));
        assert_eq!(told[0].tasks, std::slice::from_ref(&ps1));
        // Who may not use the exchange, and where another one answers.
        let kept_out = caller("ada", &[]);
        let told = of(&shelf, Some(&exchange), &kept_out).await.expect("told");
        assert_eq!(told, []);
        let ada = caller("ada", std::slice::from_ref(&may));
        assert_eq!(of(&shelf, None, &ada).await.expect("told"), []);

        // A mistake is told to those who can mend it; what held goes on.
        std::fs::write(&file, BIO.replace("opens", "opnes")).expect("written");
        assert!(shelf.look().expect("looked"));
        clock.advance(130 * MINUTE);
        let late = Task { late: true, ..ps1 };
        let told = asked("ada").await;
        assert_eq!(told[0].tasks[0], late);
        assert!(told[0].mistakes.is_empty());
        let told = asked("tess").await;
        assert_eq!(told[0].mistakes[0].line, Some(5));
        assert!(told[0].mistakes[0].words.contains("opens"), "{told:?}");
        assert_eq!(told[0].arrivals[0].students, Some(2));
        let told = of(&shelf, None, &caller("tess", &[])).await.expect("told");
        assert_eq!(told[0].mistakes.len(), 1);
        assert!(told[0].arrivals.is_empty());
    }
}
