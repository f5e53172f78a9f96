//! What pages could have to show: a rich and a bare sample of each, and the special cases.

mod courses;
mod second_factor;
mod shares;
mod sittings;
mod spawn;

use lyceum_web::page::contexts::password::{PasswordPage, PasswordProblem, PasswordState};
use lyceum_web::page::contexts::sessions::{SecondStep, SessionRow, SessionsPage};
use lyceum_web::page::contexts::*;
use lyceum_web::page::plain::{Document, Piece, pieces};
use minijinja::value::{Serde, Value};

/// Sat 21 Nov 2026, 08:00 UTC.
pub(crate) const NOW: i64 = 1_795_248_000_000;
pub(crate) const HOUR: i64 = 3_600_000;
/// Somebody who tries their luck.
pub(crate) const EVIL: &str = "\"><script>alert(1)</script>";

pub(crate) fn page() -> Page {
    Page {
        base: "/hub/".into(),
        user: Some(PageUser {
            name: "ada".into(),
            display_name: "Ada Lovelace".into(),
            admin: true,
        }),
        xsrf: "2|c0ffee|0123456789".into(),
        site: Site {
            name: "Jupyter at Example".into(),
        },
        services: vec![ServiceLink {
            name: "grades".into(),
            href: "/services/grades/".into(),
        }],
        languages: [("en", "English", "ltr"), ("ar", EVIL, "rtl")]
            .map(|(tag, name, dir)| LanguageChoice {
                tag: tag.into(),
                name: name.into(),
                dir,
            })
            .to_vec(),
        scopes: [
            "admin-ui",
            "read:users",
            "read:users!group=lab",
            "access:servers!user=ada",
            "access:servers!server=eve/gpu",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Page::default()
    }
}

pub(crate) fn bare() -> Page {
    Page {
        base: "/hub/".into(),
        site: Site {
            name: "Lyceum".into(),
        },
        ..Page::default()
    }
}

pub(crate) fn server(name: &str, state: ServerState) -> ServerRow {
    let path = format!("ada/{name}");
    ServerRow {
        user: "ada".into(),
        server: name.into(),
        state,
        since: Some(NOW - HOUR),
        last_activity: Some(NOW - 26 * HOUR),
        url: format!("/user/{path}"),
        progress_url: format!("/hub/spawn-pending/{path}"),
        log_url: Some(format!("/hub/logs/{path}")),
        ..ServerRow::default()
    }
}

pub(crate) fn all_servers() -> Vec<ServerRow> {
    vec![
        server("", ServerState::Ready),
        server("gpu-1", ServerState::Starting),
        ServerRow {
            reason: Some("12 others are before you.".into()),
            place: Some(12),
            course: Some("signals-2026".into()),
            course_title: Some(format!("Signals {EVIL}")),
            ..server("big", ServerState::Waiting)
        },
        ServerRow {
            profile: Some(format!("Data science {EVIL}")),
            ..server("data", ServerState::Starting)
        },
        server("old", ServerState::Stopping),
        ServerRow {
            end: Some(ServerEnd {
                at: NOW + HOUR,
                left: 3600,
                why: "idle",
                soon: false,
            }),
            ..server("later", ServerState::Ready)
        },
        ServerRow {
            end: Some(ServerEnd {
                at: NOW + 300_000,
                left: 300,
                why: "idle",
                soon: true,
            }),
            ..server("soon", ServerState::Ready)
        },
        ServerRow {
            end: Some(ServerEnd {
                at: NOW + 60_000,
                left: 60,
                why: "age",
                soon: true,
            }),
            ..server("aged", ServerState::Ready)
        },
        ServerRow {
            title: Some(format!("Thesis {EVIL}")),
            reason: Some("The command jupyterhub-singleuser was not found.".into()),
            removable: true,
            ..server("thesis", ServerState::Failed)
        },
        ServerRow {
            removable: true,
            renamable: true,
            last_activity: None,
            log_url: None,
            ..server("fresh", ServerState::Stopped)
        },
    ]
}

fn log() -> Vec<String> {
    let mut lines = vec![
        "[I 2026-11-21 08:00:01.123 ServerApp] jupyterlab | extension was successfully linked."
            .into(),
        format!("[W 2026-11-21 08:00:02.500 ServerApp] {EVIL}"),
    ];
    for at in 0..30 {
        lines.push(format!("[I 2026-11-21 08:00:{at:02} ServerApp] line {at}"));
    }
    lines
}

fn steps() -> Vec<Step> {
    [
        "Server requested",
        "Home folder ready",
        "Process started, waiting for its first answer",
    ]
    .iter()
    .zip(0..)
    .map(|(message, at)| Step {
        at: NOW + at * 2500,
        message: (*message).into(),
    })
    .collect()
}

fn maintenance() -> Maintenance {
    Maintenance {
        from: NOW - HOUR,
        until: Some(NOW + HOUR),
        now: true,
        let_in: false,
        texts: in_both("New disks"),
    }
}

fn home(servers: Vec<ServerRow>) -> HomePage {
    HomePage {
        page: page(),
        next: NextThing::of(&servers),
        servers,
        ..HomePage::default()
    }
}

pub(crate) fn token(id: &str, note: &str, scopes: &[&str]) -> TokenRow {
    TokenRow {
        id: id.into(),
        note: note.into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        created: NOW - 200 * HOUR,
        last_used: Some(NOW - HOUR),
        expires: Some(NOW + 500 * HOUR),
        ..TokenRow::default()
    }
}

pub(crate) fn session(id: &str, address: &str, this: bool) -> SessionRow {
    SessionRow {
        id: id.into(),
        address: address.into(),
        agent: "Chrome 150, Linux".into(),
        agent_text: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                Chrome/150.0.0.0 Safari/537.36"
            .into(),
        since: NOW - 30 * HOUR,
        last_seen: NOW,
        this,
    }
}

fn error(status: u16) -> Value {
    of(ErrorPage {
        page: page(),
        status,
        detail: None,
        technical: None,
        code: Some("01KBQ3ZV5T".into()),
        retry_url: None,
        maintenance: false,
    })
}

pub(crate) fn of(ctx: impl serde::Serialize) -> Value {
    Value::from(Serde(&ctx))
}

/// The sample of a template.
pub(crate) fn find(name: &str, variant: &str) -> Value {
    all()
        .into_iter()
        .find(|(own, its, _)| *own == name && *its == variant)
        .map(|(_, _, ctx)| ctx)
        .expect("a sample of that name")
}

/// Template, variant, context.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = Vec::new();
    all.extend(login());
    all.extend(homes());
    all.extend(starts());
    all.extend(courses::all());
    all.extend(shares::all());
    all.extend(sittings::all());
    all.extend(spawn::all());
    all.extend(tokens());
    all.extend(crate::admin_samples::all());
    all.extend(second_factor::all());
    all.extend(second_factor::sign_up());
    all.extend(second_factor::mail());
    all.extend(others());
    all
}

fn login() -> Vec<(&'static str, &'static str, Value)> {
    let form = |error| LoginPage {
        page: bare(),
        password_form: true,
        username: "ada".into(),
        next: format!("/user/ada/{EVIL}"),
        error: Some(error),
        ..LoginPage::default()
    };
    vec![
        (
            "login.html",
            "full",
            of(LoginPage {
                page: Page {
                    announcement: Some("Maintenance on Sunday from 6:00 to 8:00.".into()),
                    ..bare()
                },
                methods: vec![LoginMethod {
                    name: "University account".into(),
                    url: "/hub/oauth_login".into(),
                }],
                code_url: Some("/hub/login/seat".into()),
                password_of: vec!["Guests".into(), format!("Machine {EVIL}")],
                try_out: Some("shared"),
                hint: Some("The first password was printed where Lyceum was started.".into()),
                forgotten: true,
                sign_up: true,
                ..form(LoginError::Refused)
            }),
        ),
        ("login.html", "excluded", of(form(LoginError::Excluded))),
        ("login.html", "expired", of(form(LoginError::Expired))),
        ("login.html", "stale", of(form(LoginError::Stale))),
        ("login.html", "denied", of(form(LoginError::Denied))),
        (
            "login.html",
            "unreachable",
            of(form(LoginError::Unreachable)),
        ),
        ("login.html", "outsider", of(form(LoginError::Outsider))),
        ("login.html", "unnamed", of(form(LoginError::Unnamed))),
        ("login.html", "anonymous", of(form(LoginError::Anonymous))),
        ("login.html", "taken", of(form(LoginError::Taken))),
        ("login.html", "reserved", of(form(LoginError::Reserved))),
        ("login.html", "gone", of(form(LoginError::Gone))),
        ("login.html", "withdrawn", of(form(LoginError::Withdrawn))),
        (
            "login.html",
            "unconfirmed",
            of(form(LoginError::Unconfirmed)),
        ),
        (
            "login.html",
            "unavailable",
            of(form(LoginError::Unavailable)),
        ),
        (
            "login.html",
            "throttled",
            of(LoginPage {
                wait_seconds: Some(30),
                ..form(LoginError::Refused)
            }),
        ),
        (
            "login.html",
            "plain",
            of(LoginPage {
                page: bare(),
                password_form: true,
                ..LoginPage::default()
            }),
        ),
        (
            "login.html",
            "by platforms",
            of(LoginPage {
                page: bare(),
                platforms: vec![
                    Platform {
                        name: EVIL.into(),
                        url: Some("https://moodle.example.edu/".into()),
                    },
                    Platform {
                        name: "Canvas".into(),
                        url: None,
                    },
                ],
                ..LoginPage::default()
            }),
        ),
        (
            "lti_onward.html",
            "again",
            of(LtiOnwardPage {
                page: bare(),
                platform: "Moodle".into(),
                action: "/hub/lti13/oauth_callback".into(),
                fields: vec![
                    ("state".into(), EVIL.into()),
                    ("id_token".into(), "a.b.c".into()),
                ],
                ..LtiOnwardPage::default()
            }),
        ),
        (
            "lti_onward.html",
            "answer",
            of(LtiOnwardPage {
                page: bare(),
                platform: EVIL.into(),
                action: "https://lms.example.edu/picked?x=1".into(),
                fields: vec![("JWT".into(), EVIL.into())],
                answer: true,
                ..LtiOnwardPage::default()
            }),
        ),
        (
            "lti_other.html",
            "asks",
            of(LtiOtherPage {
                page: page(),
                platform: EVIL.into(),
                present: EVIL.into(),
                name: EVIL.into(),
                action: "/hub/lti13/other".into(),
                held: EVIL.into(),
            }),
        ),
        (
            "lti_pick.html",
            "fresh",
            of(LtiPickPage {
                page: page(),
                platform: "Moodle".into(),
                action: "/hub/lti13/pick/x".into(),
                ..LtiPickPage::default()
            }),
        ),
        (
            "lti_pick.html",
            "wrong",
            of(LtiPickPage {
                page: page(),
                platform: EVIL.into(),
                action: "/hub/lti13/pick/x".into(),
                is_file: true,
                path: EVIL.into(),
                name: EVIL.into(),
                is_wrong: true,
            }),
        ),
        (
            "lti_onward.html",
            "framed",
            of(LtiOnwardPage {
                page: bare(),
                platform: EVIL.into(),
                action: "/hub/lti13/oauth_login".into(),
                fields: vec![("iss".into(), EVIL.into())],
                new_window: true,
                answer: false,
            }),
        ),
        (
            "login.html",
            "empty",
            of(LoginPage {
                page: bare(),
                ..LoginPage::default()
            }),
        ),
    ]
}

/// During a maintenance, with one server like this.
fn closed(state: ServerState) -> Value {
    let servers = vec![server("", state), server("gpu", ServerState::Stopped)];
    let own = home(servers);
    of(HomePage {
        page: Page {
            maintenance: Some(maintenance()),
            ..page()
        },
        next: own.next.clone().map(NextThing::closed),
        closed: true,
        courses: vec![CourseRow {
            id: "signals-2026".into(),
            anchor: "course-signals-2026".into(),
            title: "Signals and Systems".into(),
            roles: vec!["student".into()],
            starts: true,
            ..CourseRow::default()
        }],
        ..own
    })
}

fn deeds() -> Vec<DeedRow> {
    let deed = |what: &str, who: &str, is_service: bool, server: &str| DeedRow {
        who: who.into(),
        is_service,
        what: what.into(),
        server: server.into(),
        at: NOW - 3 * HOUR,
    };
    vec![
        deed("opened", "grace", false, ""),
        deed("started", "root", false, "gpu-1"),
        deed("stopped", EVIL, true, "gpu-1"),
        deed("added", "root", false, "gpu-1"),
        deed("changed", "root", false, "gpu-1"),
        deed("removed", "root", false, "gpu-1"),
    ]
}

/// What was done, by whom there is.
pub(crate) fn acts() -> Vec<AuditRow> {
    let act = |what: &str, who: Option<&str>, key: &str, text: &str| AuditRow {
        at: NOW - HOUR,
        who: who.map(str::to_owned),
        who_url: who.map(|who| format!("/hub/admin/user/{who}")),
        address: Some("203.0.113.7".into()),
        what: what.into(),
        about: Some("ada".into()),
        about_url: Some("/hub/admin/user/ada".into()),
        detail: vec![(key.into(), text.into())],
        times: 1,
        ..AuditRow::default()
    };
    let mut acts = vec![
        act("sign_in", Some("ada"), "agent", "Firefox 145, Linux"),
        act("admin_given", None, "by", "configuration"),
        act("person_renamed", Some("root"), "to", EVIL),
    ];
    acts.push(AuditRow {
        times: 17,
        ..act("sign_in_refused", None, "why", "credentials")
    });
    acts.push(AuditRow {
        who_url: None,
        is_service: true,
        ..act("server_stopped", Some(EVIL), "server", EVIL)
    });
    acts
}

fn started_for_a_course() -> NextThing {
    NextThing {
        course: Some("signals-2026".into()),
        ..NextThing::of(&[server("", ServerState::Stopped)]).expect("one that can start")
    }
}

fn task() -> TaskRow {
    TaskRow {
        course: format!("Signals and Systems {EVIL}"),
        name: format!("Problem set 1 {EVIL}"),
        due: Some(NOW + 30 * HOUR),
        url: Some("/hub/courses/signals-2026/assignments/ps1".into()),
        ..TaskRow::default()
    }
}

fn switch(state: ServerState) -> SwitchPage {
    SwitchPage {
        page: page(),
        server: server("", state),
        own: true,
        now_for: Some(EVIL.into()),
        course: CourseChoice {
            id: "signals-2026".into(),
            title: "Signals and Systems".into(),
        },
        action: "/hub/spawn/ada".into(),
        ends: Some(7),
        may_open: true,
        may_watch: true,
        look_at: (state == ServerState::Stopping)
            .then(|| "/hub/spawn/ada?next=&course=signals-2026".into()),
        waits: None,
    }
}

fn waiting() -> Vec<WaitingRow> {
    let arrival = |name: &str, given: u64, waiting: u64| ArrivalRow {
        name: name.into(),
        due: Some(NOW + HOUR),
        given,
        students: Some(40),
        waiting,
        newest: (given > 0).then_some(NOW - HOUR),
        ..ArrivalRow::default()
    };
    let row = |id: &str, title: &str| WaitingRow {
        course: id.into(),
        title: title.into(),
        url: format!("#course-{id}"),
        ..WaitingRow::default()
    };
    vec![
        WaitingRow {
            arrivals: vec![
                arrival("ps2", 0, 0),
                ArrivalRow {
                    url: Some("/hub/courses/signals-2026/assignments/ps1".into()),
                    past: true,
                    ..arrival("ps1", 12, 1)
                },
                ArrivalRow {
                    due: None,
                    students: None,
                    ..arrival(EVIL, 1234, 7)
                },
            ],
            more: 2,
            ..row("signals-2026", "Signals and Systems")
        },
        WaitingRow {
            mistake: Some(MistakeRow {
                line: Some(12),
                words: format!("there is no key `{EVIL}`"),
            }),
            more_mistakes: 1,
            ..row("bio", EVIL)
        },
        WaitingRow {
            mistake: Some(MistakeRow::default()),
            rest_holds: true,
            ..row("art", "Art")
        },
    ]
}

fn homes() -> Vec<(&'static str, &'static str, Value)> {
    let course = |title: &str, roles: &[&str], url: Option<&str>| CourseRow {
        id: "signals-2026".into(),
        anchor: "course-signals-2026".into(),
        starts: !roles.is_empty(),
        server: url.map(|_| server("", ServerState::Ready)),
        own: url.map(|_| server("", ServerState::Stopped)),
        title: title.into(),
        term: url.map(|_| "Winter 2026/27".into()),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        archived: url.is_none(),
        url: url.map(Into::into),
        task: url.map(|_| task()),
        open: url.map_or(1, |_| 2),
        feedback: ["ps0", EVIL]
            .map(|name| FeedbackRow {
                name: name.into(),
                at: NOW - HOUR,
            })
            .to_vec(),
    };
    vec![
        (
            "home.html",
            "full",
            of(HomePage {
                task: Some(task()),
                waiting: waiting(),
                exams: vec![ExamRow {
                    id: "01".into(),
                    url: "/hub/sitting/01".into(),
                    title: format!("Signals and Systems {EVIL}"),
                    begins: NOW,
                    ends: NOW + 2 * HOUR,
                }],
                add: Some(AddServer {
                    name: "Gpu 2".into(),
                    error: Some("A server name has lower-case letters, digits and hyphens.".into()),
                    limit: Some(5),
                    full: false,
                }),
                shared: shares::with_me(),
                shared_more: true,
                done: Some(Done {
                    what: "removed",
                    server: "thesis".into(),
                }),
                work_unknown: true,
                sharing: true,
                deeds: deeds(),
                services: vec![ServiceLink {
                    name: format!("grader {EVIL}"),
                    href: "/services/grader/".into(),
                }],
                courses: vec![
                    course(
                        "Signals and Systems",
                        &["student"],
                        Some("/hub/courses/signals"),
                    ),
                    course(EVIL, &["teacher", "grader", "beekeeper"], None),
                ],
                ..home(all_servers())
            }),
        ),
        (
            "home.html",
            "fresh",
            of(HomePage {
                add: Some(AddServer {
                    full: true,
                    limit: Some(1),
                    ..AddServer::default()
                }),
                ..home(vec![ServerRow {
                    last_activity: None,
                    log_url: None,
                    ..server("", ServerState::Stopped)
                }])
            }),
        ),
        (
            "home.html",
            "starting",
            of(home(vec![server("", ServerState::Starting)])),
        ),
        (
            "home.html",
            "failed",
            of(home(vec![server("", ServerState::Failed)])),
        ),
        (
            "home.html",
            "task-to-start",
            of(HomePage {
                next: Some(started_for_a_course()),
                task: Some(TaskRow {
                    late: true,
                    ..task()
                }),
                ..home(vec![server("", ServerState::Stopped)])
            }),
        ),
        (
            "home.html",
            "task-elsewhere",
            of(HomePage {
                next: Some(NextThing {
                    server: server("", ServerState::Ready),
                    ..started_for_a_course()
                }),
                task: Some(task()),
                ..home(vec![server("", ServerState::Ready)])
            }),
        ),
        (
            "home.html",
            "task-in-another-course",
            of(HomePage {
                next: Some(NextThing {
                    server: ServerRow {
                        course: Some("algebra".into()),
                        course_title: Some("Algebra".into()),
                        ..server("", ServerState::Ready)
                    },
                    ..started_for_a_course()
                }),
                task: Some(task()),
                ..home(vec![server("", ServerState::Ready)])
            }),
        ),
        (
            "home.html",
            "in-line",
            of(HomePage {
                done: Some(Done {
                    what: "cancelled",
                    server: "thesis".into(),
                }),
                ..home(vec![server("", ServerState::Waiting)])
            }),
        ),
        (
            "home.html",
            "task-late",
            of(HomePage {
                task: Some(TaskRow {
                    late: true,
                    taken_until: Some(NOW + 2 * HOUR),
                    ..task()
                }),
                ..home(vec![server("", ServerState::Starting)])
            }),
        ),
        (
            "home.html",
            "task-done",
            of(HomePage {
                task: Some(TaskRow {
                    grace: Some(NOW + HOUR),
                    handed_in: Some(NOW - HOUR),
                    ..task()
                }),
                ..home(vec![server("", ServerState::Stopping)])
            }),
        ),
        (
            "home.html",
            "teacher",
            of(HomePage {
                waiting: waiting(),
                ..home(vec![server("", ServerState::Stopped)])
            }),
        ),
        ("home.html", "closed", closed(ServerState::Stopped)),
        (
            "home.html",
            "closed but for one",
            closed(ServerState::Ready),
        ),
        (
            "home.html",
            "empty",
            of(HomePage {
                page: bare(),
                ..HomePage::default()
            }),
        ),
    ]
}

fn starts() -> Vec<(&'static str, &'static str, Value)> {
    let start = ProgressPage {
        page: page(),
        server: server("", ServerState::Starting),
        percent: 60,
        steps: steps(),
        started_at: NOW,
        elapsed: 7,
        place: Some(3),
        estimate: Some(95),
        own_first: false,
        held: None,
        events_url: "/hub/api/users/ada/server/progress?_xsrf=x".into(),
        url: "/user/ada/lab".into(),
        failure: None,
        closed: false,
        log: vec![],
    };
    let failure = |remedy: Option<&str>, code: Option<&str>| Failure {
        reason: "The server's program exited at once with code 1.".into(),
        remedy: remedy.map(Into::into),
        code: code.map(Into::into),
    };
    vec![
        ("progress.html", "full", of(&start)),
        (
            "progress.html",
            "next",
            of(ProgressPage {
                place: Some(1),
                estimate: None,
                ..start.clone()
            }),
        ),
        (
            "progress.html",
            "own-first",
            of(ProgressPage {
                own_first: true,
                ..start.clone()
            }),
        ),
        (
            "progress.html",
            "no-room",
            of(ProgressPage {
                estimate: None,
                held: Some(Hold {
                    why: "full",
                    again: 0,
                }),
                ..start.clone()
            }),
        ),
        (
            "progress.html",
            "trouble",
            of(ProgressPage {
                estimate: None,
                held: Some(Hold {
                    why: "trouble",
                    again: 120,
                }),
                ..start.clone()
            }),
        ),
        (
            "progress.html",
            "failed",
            of(ProgressPage {
                failure: Some(failure(
                    Some("Look at the output below."),
                    Some("01KBQ3ZV5T"),
                )),
                log: log(),
                ..start.clone()
            }),
        ),
        (
            "progress.html",
            "failed-bare",
            of(ProgressPage {
                page: bare(),
                failure: Some(failure(None, None)),
                ..ProgressPage::default()
            }),
        ),
        (
            "progress.html",
            "empty",
            of(ProgressPage {
                page: bare(),
                ..ProgressPage::default()
            }),
        ),
        (
            "not_running.html",
            "full",
            of(NotRunningPage {
                page: page(),
                server: server("gpu-1", ServerState::Stopped),
                cancelled: true,
                closed: false,
                start_url: Some(
                    "/hub/spawn/ada/gpu-1?next=%2Fhub%2Fuser%2Fada%2Fgpu-1%2Flab".into(),
                ),
            }),
        ),
        (
            "not_running.html",
            "closed",
            of(NotRunningPage {
                page: page(),
                server: server("", ServerState::Stopped),
                closed: true,
                ..NotRunningPage::default()
            }),
        ),
        (
            "not_running.html",
            "empty",
            of(NotRunningPage {
                page: bare(),
                ..NotRunningPage::default()
            }),
        ),
        (
            "stopping.html",
            "full",
            of(StoppingPage {
                page: page(),
                server: server("", ServerState::Stopping),
            }),
        ),
        (
            "stopping.html",
            "in vain",
            of(StoppingPage {
                page: page(),
                server: ServerRow {
                    reason: Some("The server could not be stopped so far: it is busy.".into()),
                    ..server("", ServerState::Stopping)
                },
            }),
        ),
        ("switch.html", "full", of(switch(ServerState::Ready))),
        (
            "switch.html",
            "on its way",
            of(switch(ServerState::Starting)),
        ),
        (
            "switch.html",
            "still stopping",
            of(switch(ServerState::Stopping)),
        ),
        (
            "switch.html",
            "behind others",
            of(SwitchPage {
                waits: Some(SwitchWait {
                    waiting: 1,
                    held: None,
                }),
                ..switch(ServerState::Ready)
            }),
        ),
        (
            "switch.html",
            "not with its place",
            of(SwitchPage {
                waits: Some(SwitchWait {
                    waiting: 2,
                    held: Some(Hold {
                        why: "full",
                        again: 0,
                    }),
                }),
                ..switch(ServerState::Ready)
            }),
        ),
        (
            "switch.html",
            "fails just now",
            of(SwitchPage {
                waits: Some(SwitchWait {
                    waiting: 0,
                    held: Some(Hold {
                        why: "trouble",
                        again: 30,
                    }),
                }),
                ..switch(ServerState::Ready)
            }),
        ),
        (
            "switch.html",
            "empty",
            of(SwitchPage {
                page: bare(),
                ..SwitchPage::default()
            }),
        ),
        (
            "logs.html",
            "full",
            of(LogsPage {
                page: page(),
                server: server("gpu-1", ServerState::Failed),
                lines: log(),
                truncated: true,
            }),
        ),
        (
            "logs.html",
            "empty",
            of(LogsPage {
                page: bare(),
                ..LogsPage::default()
            }),
        ),
    ]
}

fn tokens() -> Vec<(&'static str, &'static str, Value)> {
    let many = [
        "users",
        "groups",
        "servers",
        "tokens",
        "read:hub!odd=x",
        "made:up",
    ];
    let full = TokenPage {
        page: page(),
        list: crate::admin_samples::list(
            vec![
                token(
                    "a1",
                    "Backup script",
                    &["access:servers!user=ada", "read:users:name!user=ada"],
                ),
                TokenRow {
                    client: Some("Server gpu-1".into()),
                    expires: None,
                    last_used: None,
                    ..token("a2", EVIL, &many)
                },
                token("a3", "Nothing", &[]),
            ],
            &[("note", false), ("created", true), ("expires", false)],
        ),
        new_token: Some(NewToken {
            token: "lyc_0123456789abcdef0123456789abcdef".into(),
            note: "Script on my laptop".into(),
            expires: Some(NOW + 720 * HOUR),
        }),
        form: TokenForm {
            note: "x".into(),
            error: Some("That note is too long.".into()),
            max_lifetime: Some(2_592_000),
            scopes: vec![
                ScopeChoice {
                    scope: "access:servers!user=ada".into(),
                    chosen: true,
                },
                ScopeChoice {
                    scope: "users!group=bio".into(),
                    chosen: false,
                },
            ],
            more: format!("read:hub {EVIL}"),
            lifetime: "3600".into(),
        },
        applications: vec![Application {
            id: "a4".into(),
            name: format!("OAuth for /user/ada/ {EVIL}"),
            scopes: vec![
                "access:servers!user=ada".into(),
                "custom:grades:read".into(),
            ],
            since: NOW - 40 * HOUR,
            last_used: None,
        }],
        own_scopes: [("custom:grades:read".into(), "Read grades".into())].into(),
        in_exam: false,
    };
    vec![
        ("token.html", "full", of(&full)),
        (
            "token.html",
            "short",
            of(TokenPage {
                form: TokenForm {
                    max_lifetime: Some(600),
                    ..TokenForm::default()
                },
                new_token: None,
                ..full
            }),
        ),
        (
            "token.html",
            "in exam",
            of(TokenPage {
                page: page(),
                in_exam: true,
                ..TokenPage::default()
            }),
        ),
        (
            "token.html",
            "empty",
            of(TokenPage {
                page: bare(),
                ..TokenPage::default()
            }),
        ),
        (
            "sessions.html",
            "full",
            of(SessionsPage {
                page: page(),
                sessions: vec![
                    session("s1", "203.0.113.7", true),
                    SessionRow {
                        agent: String::new(),
                        agent_text: EVIL.into(),
                        ..session("s2", "2001:db8::17", false)
                    },
                ],
                others: 1,
                deeds: deeds(),
                acts: acts(),
                sign_ins: acts(),
                password: true,
                second_factor: Some(SecondStep {
                    on: true,
                    news: second_factor::events(),
                }),
            }),
        ),
        (
            "sessions.html",
            "empty",
            of(SessionsPage {
                page: bare(),
                ..SessionsPage::default()
            }),
        ),
        (
            "password.html",
            "full",
            of(PasswordPage {
                page: page(),
                name: "ada".into(),
                shortest: 12,
                problem: Some(PasswordProblem::Common),
                has_mail: true,
                mail: Some(EVIL.into()),
                ..PasswordPage::default()
            }),
        ),
        (
            "password.html",
            "by a link",
            of(PasswordPage {
                page: bare(),
                name: EVIL.into(),
                link: Some(EVIL.into()),
                shortest: 8,
                problem: Some(PasswordProblem::Wait),
                wait_seconds: Some(7),
                ..PasswordPage::default()
            }),
        ),
        (
            "password.html",
            "done",
            of(PasswordPage {
                page: bare(),
                state: PasswordState::Done,
                mail: Some(EVIL.into()),
                ..PasswordPage::default()
            }),
        ),
        (
            "password.html",
            "gone",
            of(PasswordPage {
                page: bare(),
                state: PasswordState::Gone,
                ..PasswordPage::default()
            }),
        ),
        (
            "oauth.html",
            "full",
            of(OAuthPage {
                page: page(),
                action: "/hub/api/oauth2/authorize?client_id=x&state=y".into(),
                client: OAuthClient {
                    kind: "service",
                    name: format!("grades {EVIL}"),
                    path: "/services/grades/".into(),
                    ..OAuthClient::default()
                },
                scopes: vec![
                    "read:users:name!user=ada".into(),
                    "access:servers!user=ada".into(),
                    "custom:grades:read!group=bio".into(),
                ],
                own_scopes: [("custom:grades:read".into(), "Read grades".into())].into(),
                cancel_url: "/hub/home".into(),
            }),
        ),
        (
            "oauth.html",
            "empty",
            of(OAuthPage {
                page: bare(),
                client: OAuthClient {
                    kind: "server",
                    owner: "ben".into(),
                    path: "/user/ben/".into(),
                    ..OAuthClient::default()
                },
                ..OAuthPage::default()
            }),
        ),
        (
            "oauth.html",
            "named",
            of(OAuthPage {
                page: page(),
                client: OAuthClient {
                    kind: "named",
                    name: "gpu".into(),
                    owner: "ben".into(),
                    path: "/user/ben/gpu/".into(),
                },
                scopes: vec!["access:servers!server=ben/gpu".into()],
                ..OAuthPage::default()
            }),
        ),
    ]
}

fn in_both(text: &str) -> std::collections::BTreeMap<String, Vec<Piece>> {
    ["en", "de"]
        .map(|tag| (tag.to_owned(), pieces(text)))
        .into()
}

fn others() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("error.html", "400", error(400)),
        ("error.html", "403", error(403)),
        ("error.html", "404", error(404)),
        ("error.html", "409", error(409)),
        ("error.html", "413", error(413)),
        ("error.html", "418", error(418)),
        ("error.html", "429", error(429)),
        ("error.html", "500", error(500)),
        ("error.html", "503", error(503)),
        (
            "error.html",
            "detail",
            of(ErrorPage {
                page: page(),
                status: 503,
                detail: Some(format!("The server ada/gpu-1 doesn't answer. {EVIL}")),
                technical: Some(format!("connection refused {EVIL}")),
                code: Some("01KBQ3ZV5T".into()),
                retry_url: Some("/user/ada/gpu-1/lab".into()),
                maintenance: false,
            }),
        ),
        (
            "error.html",
            "maintenance",
            of(ErrorPage {
                page: page(),
                status: 503,
                maintenance: true,
                ..ErrorPage::default()
            }),
        ),
        (
            "error.html",
            "empty",
            of(ErrorPage {
                page: bare(),
                status: 404,
                ..ErrorPage::default()
            }),
        ),
        (
            "document.html",
            "full",
            of(DocumentPage {
                page: Page {
                    notices: vec![Notice {
                        texts: in_both(&format!(
                            "Read [the news](https://news.example.edu) {EVIL}"
                        )),
                        warning: true,
                    }],
                    maintenance: Some(Maintenance {
                        from: NOW,
                        until: Some(NOW + HOUR),
                        now: false,
                        let_in: true,
                        texts: in_both("New disks."),
                    }),
                    ..page()
                },
                kind: "privacy",
                document: Document::read(&format!(
                    "# Privacy {EVIL}\n\nWords.\n## What\n- one {EVIL}\n- [two](/hub/home)\n"
                )),
            }),
        ),
        (
            "document.html",
            "empty",
            of(DocumentPage {
                page: Page {
                    maintenance: Some(Maintenance {
                        now: true,
                        texts: in_both(""),
                        ..Maintenance::default()
                    }),
                    ..bare()
                },
                kind: "imprint",
                document: Document::default(),
            }),
        ),
        (
            "logout.html",
            "full",
            of(LogoutPage {
                page: bare(),
                there: Some(StillThere {
                    name: "University account".into(),
                    url: "https://login.example.edu/logout?client_id=lyceum".into(),
                    at_once: true,
                }),
            }),
        ),
        (
            "logout.html",
            "plain",
            of(LogoutPage {
                page: bare(),
                there: None,
            }),
        ),
        (
            "message.html",
            "full",
            of(MessagePage {
                page: page(),
                title: "You are logged out".into(),
                paragraphs: vec!["Servers that ran go on running.".into(), EVIL.into()],
                link: Some(Link {
                    text: "Log in again".into(),
                    url: "/hub/login".into(),
                }),
            }),
        ),
        (
            "message.html",
            "empty",
            of(MessagePage {
                page: bare(),
                title: "Done".into(),
                ..MessagePage::default()
            }),
        ),
    ]
}
