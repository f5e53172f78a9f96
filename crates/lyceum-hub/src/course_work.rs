//! What is to be done in courses, as the home page tells it: what comes first for those who take them,
//! what waits for those who teach. What that is nobody knows here; it comes through
//! [`crate::launch::CourseShelf`].

use lyceum_model::clock::Millis;
use lyceum_model::who::CourseRole;

/// What is to be done in a course by one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CourseWork {
    /// The course's id.
    pub course: String,
    /// It is not among her courses, or she is nothing or less in it there: somebody added her otherwise.
    pub added: Option<AddedTo>,
    /// What she can hand in now, in any order.
    pub tasks: Vec<Task>,
    /// What came back to her lately, the newest first.
    pub feedback: Vec<Feedback>,
    /// What came in from others or is about to, the latest first; only where she grades.
    pub arrivals: Vec<Arrivals>,
    /// What is wrong with the file of the course; only where she may change it.
    pub mistakes: Vec<Mistake>,
    /// All of these are in something of which the rest counts, such as lists of people beside the file.
    pub rest_holds: bool,
}

/// A course to which somebody was added by a request to the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTo {
    pub title: String,
    pub term: Option<String>,
    pub role: CourseRole,
    /// It can only be read.
    pub archived: bool,
}

/// Something that can be handed in now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    /// For her; nothing: at any time.
    pub due: Option<Millis>,
    /// It counts as in time until then, which may be after it was due.
    pub in_time_until: Option<Millis>,
    /// It is taken until then; nothing: without end.
    pub taken_until: Option<Millis>,
    /// It counts as late already.
    pub late: bool,
    pub handed_in: Option<Millis>,
    /// Whether it may be handed in (once more).
    pub again: bool,
    /// Where it is read of and handed in, as routes are registered.
    pub page: Option<String>,
}

/// What came back for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    pub name: String,
    pub at: Millis,
}

/// What people handed in for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    pub name: String,
    pub due: Option<Millis>,
    /// How many people handed it in.
    pub given: u64,
    /// Of how many; nothing: that is not known.
    pub students: Option<u64>,
    /// How many of them wait for something to come back.
    pub waiting: u64,
    pub newest: Option<Millis>,
    /// Where it is looked at, as routes are registered.
    pub page: Option<String>,
}

/// Something wrong in a course's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub line: Option<u64>,
    /// In English.
    pub words: String,
}

/// Where a task stands among others; the smallest comes first.
type Turn = (bool, u8, Option<Millis>);

impl Task {
    /// The sooner it can't be done well any more the earlier; what is done already after all that is
    /// not. Nothing for what is done and better left so: it has no end to look out for, would be late,
    /// or is not taken again.
    fn turn(&self) -> Option<Turn> {
        let is_done = self.handed_in.is_some();
        if is_done && (self.late || self.due.is_none() || !self.again) {
            return None;
        }
        let (group, at) = match (self.late, self.due) {
            (false, Some(due)) => (0, Some(self.in_time_until.unwrap_or(due))),
            (true, _) if self.taken_until.is_some() => (0, self.taken_until),
            // Late is late: it does not hide what can still be in time.
            (true, due) => (1, due),
            (false, None) => (2, None),
        };
        Some((is_done, group, at))
    }
}

impl CourseWork {
    /// What comes first in this course.
    pub fn next(&self) -> Option<&Task> {
        self.first().map(|(_, task)| task)
    }

    /// How many are not handed in yet.
    pub fn open(&self) -> usize {
        let open = self.tasks.iter().filter(|task| task.handed_in.is_none());
        open.count()
    }

    fn first(&self) -> Option<(Turn, &Task)> {
        let turns = self
            .tasks
            .iter()
            .filter_map(|task| Some((task.turn()?, task)));
        turns.min_by(|(one, a), (other, b)| (one, &a.name).cmp(&(other, &b.name)))
    }

    /// Whether something waits for those who teach it.
    pub fn waits(&self) -> bool {
        !self.arrivals.is_empty() || !self.mistakes.is_empty()
    }
}

/// What comes first of all, and in which course.
pub fn next<'a>(
    all: impl IntoIterator<Item = &'a CourseWork>,
) -> Option<(&'a CourseWork, &'a Task)> {
    let firsts = all
        .into_iter()
        .filter_map(|work| work.first().map(|(turn, task)| (turn, work, task)));
    let first =
        firsts.min_by(|(one, a, _), (other, b, _)| (one, &a.course).cmp(&(other, &b.course)));
    first.map(|(_, work, task)| (work, task))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1000;

    fn task(name: &str, due: Option<i64>) -> Task {
        Task {
            name: name.into(),
            due: due.map(Millis),
            in_time_until: due.map(Millis),
            taken_until: due.map(Millis),
            late: due.is_some_and(|due| due < NOW),
            again: true,
            ..Task::default()
        }
    }

    fn done(task: Task) -> Task {
        Task {
            handed_in: Some(Millis(NOW - 1)),
            ..task
        }
    }

    fn late(name: &str, due: i64, until: Option<i64>) -> Task {
        Task {
            taken_until: until.map(Millis),
            ..task(name, Some(due))
        }
    }

    #[test]
    fn what_comes_first() {
        let check = |tasks: Vec<Task>, expect: Option<&str>| {
            // In whichever order and courses they come.
            let one = |tasks: Vec<Task>, course: &str| CourseWork {
                course: course.into(),
                tasks,
                ..CourseWork::default()
            };
            let backwards: Vec<Task> = tasks.iter().rev().cloned().collect();
            let mut courses = Vec::new();
            for (task, at) in tasks.iter().zip(0..) {
                courses.push(one(vec![task.clone()], &format!("c{at}")));
            }
            for all in [
                vec![one(tasks, "bio")],
                vec![one(backwards, "bio")],
                courses,
            ] {
                let found = next(&all).map(|(_, task)| task.name.as_str());
                assert_eq!(found, expect, "{all:?}");
            }
        };
        let (soon, later) = (task("soon", Some(1100)), task("later", Some(1200)));
        let whenever = task("whenever", None);
        check(vec![], None);
        check(vec![later.clone(), soon.clone()], Some("soon"));
        check(vec![whenever.clone(), later.clone()], Some("later"));
        check(vec![done(soon.clone()), later.clone()], Some("later"));
        check(vec![done(soon.clone()), whenever.clone()], Some("whenever"));
        check(vec![done(later), done(soon.clone())], Some("soon"));
        check(vec![done(whenever.clone())], None);
        let spent = Task {
            again: false,
            ..done(soon.clone())
        };
        check(vec![spent], None);
        // Late ones by when they are taken no more.
        check(
            vec![soon.clone(), late("ends", 900, Some(1050))],
            Some("ends"),
        );
        check(
            vec![soon.clone(), late("ends", 900, Some(1150))],
            Some("soon"),
        );
        check(vec![soon, late("endless", 900, None)], Some("soon"));
        check(vec![whenever, late("endless", 900, None)], Some("endless"));
        check(vec![done(late("endless", 900, None))], None);
        let graced = Task {
            in_time_until: Some(Millis(1050)),
            late: false,
            ..task("graced", Some(990))
        };
        check(vec![task("soon", Some(1100)), graced], Some("graced"));
    }
}
