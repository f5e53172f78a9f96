//! The pages of a course.

use lyceum_web::page::contexts::courses::*;
use minijinja::value::Value;

use super::{EVIL, HOUR, NOW, bare, of, page};
use crate::admin_samples::list;

type Samples = Vec<(&'static str, &'static str, Value)>;

fn course() -> CourseHead {
    CourseHead {
        id: "signals".into(),
        title: format!("Signals and Systems {EVIL}"),
        term: Some("autumn 2026".into()),
        role: Some("student"),
        archived: false,
        url: "/hub/courses/signals".into(),
        people_url: None,
    }
}

fn taught_course() -> CourseHead {
    CourseHead {
        role: Some("teacher"),
        people_url: Some("/hub/courses/signals/people".into()),
        ..course()
    }
}

fn assignment(state: &'static str) -> AssignmentHead {
    AssignmentHead {
        name: format!("Problem set 1 {EVIL}"),
        url: "/hub/courses/signals/assignments/ps1".into(),
        state,
        opens: Some(NOW - HOUR),
        due: Some(NOW + HOUR),
        extended: true,
        grace: Some(NOW + 2 * HOUR),
        takes_late: true,
        ends: Some(NOW + 5 * HOUR),
        costs: Some(Costs {
            percent: "10".into(),
            per: Some("day"),
        }),
        version: Some(2),
        released: Some(NOW - 5 * HOUR),
        limits: Limits {
            size: 20_000_000,
            files: Some(3),
            kinds: Some(".ipynb, .csv".into()),
            submissions: Some(5),
        },
    }
}

/// Without rules.
fn plain_assignment(state: &'static str) -> AssignmentHead {
    AssignmentHead {
        name: "ps0".into(),
        url: "/hub/courses/signals/assignments/ps0".into(),
        state,
        limits: Limits {
            size: 999,
            ..Limits::default()
        },
        ..AssignmentHead::default()
    }
}

fn submission(late: Option<i64>) -> SubmissionRow {
    SubmissionRow {
        url: "/hub/courses/signals/submissions/01".into(),
        number: 17,
        version: 2,
        student: "ada".into(),
        at: NOW - HOUR,
        late,
        files: 2,
        bytes: 123_456,
        feedback: late.map(|_| NOW),
        zip_url: "/hub/courses/signals/submissions/01/zip".into(),
    }
}

fn own(state: &'static str, late: Option<i64>) -> OwnAssignment {
    OwnAssignment {
        assignment: assignment(state),
        newest: Some(submission(late)),
        times: 3,
        left: Some(2),
        returned: Some(NOW),
        takes: state == "open",
    }
}

fn taught(state: &'static str) -> TaughtAssignment {
    TaughtAssignment {
        assignment: assignment(state),
        counted: state != "closed",
        given: 7,
        late: 1,
        waiting: 2,
        newest: Some(NOW),
    }
}

fn courses() -> Samples {
    let started = |who| Started {
        who,
        values: vec![StartedValue {
            what: "memory limit".into(),
            value: format!("2G {EVIL}"),
            place: Some("courses/signals.yaml:7".into()),
        }],
    };
    let first = OwnAssignment {
        assignment: assignment("open"),
        takes: true,
        ..OwnAssignment::default()
    };
    let students = CoursePage {
        page: page(),
        course: course(),
        starts: true,
        own: vec![
            first,
            own("open", Some(0)),
            own("late", None),
            own("closed", Some(3600)),
            own("withdrawn", Some(0)),
            OwnAssignment {
                assignment: plain_assignment("open"),
                ..OwnAssignment::default()
            },
        ],
        ..CoursePage::default()
    };
    let rows = ["planned", "early", "open", "late", "closed", "withdrawn"].map(taught);
    let teachers = CoursePage {
        page: page(),
        course: taught_course(),
        server_url: Some("/services/signals/".into()),
        taught: Some(rows.to_vec()),
        students: Some(40),
        started: ["student", "grader", "teacher", "server"]
            .map(started)
            .to_vec(),
        ..CoursePage::default()
    };
    let empty = CoursePage {
        page: bare(),
        course: CourseHead {
            archived: true,
            role: None,
            ..course()
        },
        ..CoursePage::default()
    };
    let to_begin = CoursePage {
        taught: Some(Vec::new()),
        ..empty.clone()
    };
    vec![
        ("course.html", "student", of(students)),
        ("course.html", "teacher", of(teachers)),
        ("course.html", "empty", of(empty)),
        ("course.html", "to begin", of(to_begin)),
    ]
}

fn assignments() -> Samples {
    let hand_in = HandIn {
        action: "/hub/courses/signals/assignments/ps1".into(),
        left: Some(1),
        late: true,
    };
    let students = AssignmentPage {
        page: page(),
        course: course(),
        assignment: assignment("late"),
        files_url: Some("/hub/courses/signals/assignments/ps1/versions/newest/zip".into()),
        hand_in: Some(hand_in.clone()),
        problem: Some(format!("A file like {EVIL} is not taken.")),
        own: vec![submission(Some(0)), submission(None), submission(Some(90))],
        older: Some("/hub/courses/signals/assignments/ps1?before=3".into()),
        ..AssignmentPage::default()
    };
    let spent = AssignmentPage {
        page: bare(),
        course: CourseHead {
            archived: true,
            ..course()
        },
        assignment: plain_assignment("closed"),
        spent: true,
        ..AssignmentPage::default()
    };
    let refused = AssignmentPage {
        problem: Some("It is not taken any more.".into()),
        ..spent.clone()
    };
    let row = |name: &str, other, newest| WorkRow {
        name: name.into(),
        called: Some(EVIL.into()),
        other,
        url: Some("/hub/courses/signals/assignments/ps1/people/ada".into()),
        newest,
        times: 3,
    };
    let columns = [
        ("name", true),
        ("handed_in", true),
        ("late", true),
        ("tries", true),
        ("feedback", false),
        ("zip", false),
    ];
    let rows = vec![
        row("ada", None, Some(submission(Some(90)))),
        row("ben", Some("gone"), Some(submission(None))),
        row("gina", Some("grader"), Some(submission(Some(0)))),
        row("otto", Some("observer"), Some(submission(Some(0)))),
        row("tess", Some("teacher"), Some(submission(Some(0)))),
        WorkRow {
            name: "eve".into(),
            ..WorkRow::default()
        },
    ];
    let teachers = AssignmentPage {
        taught: Some(Taught {
            sum: taught("open"),
            students: Some(40),
            gone: 1,
            list: list(rows, &columns),
            all_url: Some("/hub/courses/signals/assignments/ps1/zip".into()),
            versions: vec![VersionRow {
                version: 2,
                at: NOW,
                by: EVIL.into(),
                files: 1,
                bytes: 12,
                url: "/hub/courses/signals/assignments/ps1/versions/2/zip".into(),
            }],
        }),
        course: taught_course(),
        ..students.clone()
    };
    let nothing = AssignmentPage {
        taught: Some(Taught {
            sum: TaughtAssignment {
                assignment: plain_assignment("planned"),
                ..TaughtAssignment::default()
            },
            list: list(Vec::new(), &columns),
            ..Taught::default()
        }),
        assignment: plain_assignment("planned"),
        page: page(),
        course: taught_course(),
        ..AssignmentPage::default()
    };
    vec![
        ("assignment.html", "student", of(students)),
        ("assignment.html", "spent", of(spent)),
        ("assignment.html", "refused", of(refused)),
        ("assignment.html", "teacher", of(teachers)),
        ("assignment.html", "nothing", of(nothing)),
    ]
}

fn others() -> Samples {
    let file = |look| FileRow {
        path: format!("a/{EVIL}.html"),
        bytes: 1_234_567,
        url: "/hub/courses/signals/submissions/01/file?path=a".into(),
        look_url: look,
    };
    let receipt = ReceiptText {
        due: Some(NOW),
        digest: "0123456789abcdef".repeat(4),
        text: format!("lyceum receipt 2\nassignment: {EVIL}\n"),
        url: "/hub/courses/signals/submissions/01/receipt".into(),
    };
    let submitted = SubmissionPage {
        page: page(),
        course: course(),
        assignment: format!("Problem set 1 {EVIL}"),
        assignment_url: "/hub/courses/signals/assignments/ps1".into(),
        submission: submission(Some(90)),
        own: true,
        done: true,
        placed: vec![format!("data/{EVIL}.csv")],
        files_rows: vec![file(None)],
        files_more: 1,
        feedback: Some(FeedbackFiles {
            at: NOW,
            files: vec![file(Some("/hub/look".into())), file(None)],
            more: 2,
            zip_url: "/hub/zip".into(),
        }),
        receipt: receipt.clone(),
        ..SubmissionPage::default()
    };
    let of_other = SubmissionPage {
        page: bare(),
        submission: submission(None),
        own: false,
        done: false,
        placed: Vec::new(),
        feedback: None,
        work_url: Some("/hub/courses/signals/assignments/ps1/people/ada".into()),
        receipt: ReceiptText {
            due: None,
            ..receipt
        },
        ..submitted.clone()
    };
    let work = WorkPage {
        page: page(),
        course: taught_course(),
        assignment: assignment("open"),
        name: "ada".into(),
        rows: vec![submission(Some(0)), submission(None)],
        older: Some("/hub/courses/signals/assignments/ps1/people/ada?before=1".into()),
    };
    let nothing = WorkPage {
        page: bare(),
        rows: Vec::new(),
        ..work.clone()
    };
    let person = |from, role| CoursePerson {
        name: "ada".into(),
        called: Some(EVIL.into()),
        role,
        from,
        group: Some(EVIL.into()),
    };
    let columns = [("name", true), ("role", true), ("comes_from", false)];
    let rows = vec![
        person("file", "teacher"),
        person("group", "student"),
        person("added", "grader"),
    ];
    let people = CoursePeoplePage {
        page: page(),
        course: taught_course(),
        list: Some(list(rows, &columns)),
    };
    let nobody = CoursePeoplePage {
        list: Some(list(Vec::new(), &columns)),
        ..people.clone()
    };
    let many = CoursePeoplePage {
        list: None,
        ..people.clone()
    };
    vec![
        ("submission.html", "own", of(submitted)),
        ("submission.html", "other", of(of_other)),
        ("work.html", "full", of(work)),
        ("work.html", "bare", of(nothing)),
        ("course_people.html", "full", of(people)),
        ("course_people.html", "nobody", of(nobody)),
        ("course_people.html", "many", of(many)),
    ]
}

pub(super) fn all() -> Samples {
    [courses(), assignments(), others()].concat()
}
