//! What the pages of administrators could have to show.

use lyceum_web::page::contexts::admin::*;
use lyceum_web::page::contexts::rooms::RoomRow;
use lyceum_web::page::contexts::{ConfigProblem, ConfigState};
use minijinja::value::Value;

use crate::samples::{EVIL, HOUR, NOW, acts, all_servers, bare, of, page, session, token};

pub(crate) fn area(here: &'static str) -> Area {
    let entries = [
        "overview",
        "users",
        "groups",
        "servers",
        "services",
        "tokens",
        "sittings",
        "activity",
        "audit",
        "configuration",
    ];
    Area {
        here,
        entries: entries
            .into_iter()
            .map(|key| AreaEntry {
                key,
                url: format!("/hub/admin/{key}"),
            })
            .collect(),
        notice: Some(Notice {
            key: "blocked",
            n: 2,
            refused: 1,
        }),
    }
}

pub(crate) fn list<Row>(rows: Vec<Row>, columns: &[(&'static str, bool)]) -> Listing<Row> {
    let query = format!("ada{EVIL}");
    Listing {
        rows,
        total: 50_000,
        offset: 100,
        query,
        action: "/hub/admin/users".into(),
        here: "/hub/admin/users?offset=100".into(),
        kept: vec![("sort".into(), "-created".into())],
        columns: columns
            .iter()
            .map(|(key, sortable)| Column {
                key,
                url: sortable.then(|| format!("/hub/admin/users?sort={key}&q=%22")),
                up: *key == "name",
                down: *key == "created",
            })
            .collect(),
        filters: vec![Choice {
            name: "role",
            value: "admin".into(),
            options: vec!["all", "admin", "blocked"],
        }],
        previous: Some("/hub/admin/users?offset=50".into()),
        next: Some("/hub/admin/users?offset=150".into()),
        csv: Some("/hub/admin/users.csv".into()),
    }
}

fn person(name: &str, admin: bool, running: u64) -> PersonRow {
    PersonRow {
        name: name.into(),
        display_name: admin.then(|| format!("Ada {EVIL}")),
        admin,
        blocked: !admin,
        created: Some(NOW - 9000 * HOUR),
        last_activity: (running > 0).then_some(NOW - HOUR),
        running,
        url: format!("/hub/admin/user/{name}"),
    }
}

fn servers() -> Vec<AdminServer> {
    let rows = all_servers().into_iter();
    rows.map(|server| AdminServer {
        about: format!("{}/{}", server.user, server.server),
        owner_url: (server.server != "old").then(|| "/hub/admin/user/ada".into()),
        may_start: server.server == "fresh",
        may_stop: server.server.is_empty(),
        may_open: server.server.is_empty(),
        may_log: server.log_url.is_some(),
        usage: server.server.is_empty().then(|| "312 MB, 0.4 cores".into()),
        server,
    })
    .collect()
}

fn config() -> ConfigState {
    ConfigState {
        generation: 4,
        loaded_at: NOW - 40 * HOUR,
        source: Some("/etc/lyceum/lyceum.yaml".into()),
        problem: Some(ConfigProblem {
            at: NOW,
            text: "lyceum.yaml:12:3: unknown key \"spwan\"; did you mean \"spawn\"?".into(),
        }),
    }
}

fn faulty() -> Vec<FaultyFile> {
    let of = |holds| FaultyFile {
        course: Some("signals".into()),
        file: "/var/lib/lyceum/courses/signals.yaml".into(),
        mistakes: vec![FileMistake {
            line: Some(3),
            words: format!("unknown key {EVIL}"),
        }],
        holds,
        ..FaultyFile::default()
    };
    vec![
        FaultyFile {
            course: None,
            mistakes: vec![FileMistake::default()],
            ..of("nothing")
        },
        FaultyFile {
            course: None,
            ..of("all_earlier")
        },
        FaultyFile {
            more: 1,
            written: Some(NOW),
            ..of("earlier")
        },
        of("rest"),
    ]
}

fn group(name: &str) -> GroupRow {
    GroupRow {
        name: name.into(),
        members: Some(12),
        url: "/hub/admin/group?name=bio".into(),
        may_change: true,
    }
}

pub(crate) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = overview();
    all.extend(people());
    all.extend(groups());
    all.extend(things());
    all
}

fn overview() -> Vec<(&'static str, &'static str, Value)> {
    let count = |key, n| Count {
        key,
        n,
        url: Some("/hub/admin/users".into()),
    };
    vec![
        (
            "admin.html",
            "full",
            of(OverviewPage {
                page: page(),
                area: area("overview"),
                config: config(),
                sees_config: true,
                faulty: faulty(),
                more_faulty: 1,
                counts: vec![
                    count("people", 50_000),
                    count("ready", 312),
                    count("starting", 1),
                    count("failed", 1),
                ],
                failures: servers(),
                failures_total: 31,
                stuck: servers(),
                stuck_total: 31,
                waiting: 4,
                longest: Some(75),
                blocked: 3,
                sign_ups: 2,
                services_down: vec!["culler".into(), EVIL.into()],
                switch: Some(MaintenanceSwitch {
                    on: true,
                    by: Some("root".into()),
                    since: Some(NOW),
                    until: Some(NOW + HOUR),
                    message: Some(EVIL.into()),
                    lasts: Vec::new(),
                }),
                rooms: vec![
                    RoomRow {
                        course: "bio".into(),
                        title: "Biology of everything <b>".into(),
                        people: 300,
                        opens: NOW,
                        begins: NOW,
                        ends: NOW,
                        open: true,
                        keeps: true,
                        short: vec!["There are 90 GB of memory free.".into()],
                    },
                    RoomRow {
                        title: "Signals".into(),
                        people: 1,
                        ..RoomRow::default()
                    },
                ],
                no_limit: false,
                rooms_short: true,
            }),
        ),
        (
            "admin.html",
            "open",
            of(OverviewPage {
                page: page(),
                area: area("overview"),
                switch: Some(MaintenanceSwitch {
                    lasts: vec![30, 60, 1440],
                    ..MaintenanceSwitch::default()
                }),
                ..OverviewPage::default()
            }),
        ),
        (
            "admin.html",
            "empty",
            of(OverviewPage {
                page: bare(),
                rooms: vec![RoomRow::default()],
                no_limit: true,
                ..OverviewPage::default()
            }),
        ),
        (
            "admin_configuration.html",
            "full",
            of(ConfigurationPage {
                page: page(),
                area: area("configuration"),
                config: config(),
                faulty: faulty(),
                more_faulty: 2,
            }),
        ),
        (
            "admin_configuration.html",
            "empty",
            of(ConfigurationPage {
                page: bare(),
                ..ConfigurationPage::default()
            }),
        ),
        (
            "admin_activity.html",
            "full",
            of(ActivityPage {
                page: page(),
                area: area("activity"),
                active: Some(vec![count("hour", 1), count("day", 20), count("week", 300)]),
                latest: vec![person("ada", true, 2)],
                starts: servers(),
                starts_total: 40,
                failures: Vec::new(),
                failures_total: 0,
                sign_ins: Some(vec![SignInRow {
                    name: "ada".into(),
                    url: "/hub/admin/user/ada".into(),
                    at: NOW,
                    agent: "Firefox 145, Linux".into(),
                }]),
                sign_ins_total: 7,
            }),
        ),
        (
            "admin_activity.html",
            "empty",
            of(ActivityPage {
                page: bare(),
                ..ActivityPage::default()
            }),
        ),
    ]
}

fn people() -> Vec<(&'static str, &'static str, Value)> {
    let columns = [
        ("name", true),
        ("created", true),
        ("last_activity", true),
        ("running", true),
    ];
    let long = "ada.very-long-name.of-somebody@students.example.edu";
    let rows = vec![person("ada", true, 2), person(long, false, 0)];
    let may = PersonMay {
        change: true,
        make_admin: true,
        block: true,
        delete: true,
        groups: true,
        tokens: true,
        end_sessions: true,
        password_link: true,
        second_factor_off: true,
    };
    let role = |source, group: Option<&str>| RoleRow {
        name: "tutor".into(),
        description: format!("Looks after a course {EVIL}"),
        source,
        group: group.map(str::to_owned),
    };
    vec![
        (
            "admin_users.html",
            "full",
            of(UsersPage {
                page: page(),
                area: area("users"),
                list: list(rows, &columns),
                may_add: true,
                may_block: true,
                may_group: true,
                may_make_admins: true,
                invitations: Some(Invitations {
                    link: Some(PasswordLink {
                        url: format!("https://hub.example.edu/hub/sign-up?invitation={EVIL}"),
                        expires: NOW,
                    }),
                    note: EVIL.into(),
                    groups: EVIL.into(),
                    error: Some("There is no group.".into()),
                    open: vec![InvitationRow {
                        id: "01K".into(),
                        note: EVIL.into(),
                        groups: vec![EVIL.into()],
                        made_by: "root".into(),
                        expires: NOW,
                    }],
                }),
                sign_ups: Some(vec![SignUpRow {
                    id: "01K".into(),
                    name: "grete".into(),
                    note: EVIL.into(),
                    asked: NOW,
                    expires: NOW + HOUR,
                }]),
                form: AddForm {
                    text: EVIL.into(),
                    error: Some("The name is empty.".into()),
                },
            }),
        ),
        (
            "admin_users.html",
            "nobody",
            of(UsersPage {
                page: page(),
                list: list(Vec::new(), &columns[..1]),
                sign_ups: Some(Vec::new()),
                ..UsersPage::default()
            }),
        ),
        (
            "admin_users.html",
            "empty",
            of(UsersPage {
                page: bare(),
                ..UsersPage::default()
            }),
        ),
        (
            "admin_user.html",
            "full",
            of(PersonPage {
                page: page(),
                area: area("users"),
                person: person(long, false, 1),
                shut_out: true,
                sees_activity: true,
                servers: Some(servers()),
                may,
                groups: Some(vec![group("bio"), group(EVIL)]),
                roles: Some(vec![
                    role("everybody", None),
                    role("admin", None),
                    role("configuration", None),
                    role("group", Some(EVIL)),
                ]),
                tokens: Some(PersonTokens {
                    rows: vec![token("a1", EVIL, &["read:users", "users!group=x"])],
                    total: 73,
                }),
                sessions: Some(vec![session("s1", "203.0.113.7", true)]),
                audit: Some(PersonAudit {
                    rows: acts(),
                    total: 73,
                    url: Some("/hub/admin/audit?q=ada&side=about".into()),
                }),
                link: Some(PasswordLink {
                    url: EVIL.into(),
                    expires: 1_800_000_000_000,
                }),
                mail: Some(AddressRow {
                    address: EVIL.into(),
                    given_by: "root".into(),
                    verified: Some(NOW),
                }),
                numbers: Some(NumbersRow {
                    uid: EVIL.into(),
                    gid: EVIL.into(),
                    group: EVIL.into(),
                    gids: EVIL.into(),
                    by_hand: true,
                }),
                problem: Some("The name is taken.".into()),
            }),
        ),
        (
            "admin_user.html",
            "bare",
            of(PersonPage {
                page: page(),
                area: area("users"),
                person: person("ada", true, 0),
                groups: Some(Vec::new()),
                mail: Some(AddressRow {
                    address: "ada@example.edu".into(),
                    given_by: EVIL.into(),
                    verified: None,
                }),
                tokens: Some(PersonTokens::default()),
                sessions: Some(Vec::new()),
                audit: Some(PersonAudit::default()),
                ..PersonPage::default()
            }),
        ),
        (
            "admin_user.html",
            "empty",
            of(PersonPage {
                page: bare(),
                ..PersonPage::default()
            }),
        ),
    ]
}

fn groups() -> Vec<(&'static str, &'static str, Value)> {
    let form = AddForm {
        text: EVIL.into(),
        error: Some("No such user: nobody.".into()),
    };
    vec![
        (
            "admin_groups.html",
            "full",
            of(GroupsPage {
                page: page(),
                area: area("groups"),
                list: list(
                    vec![group("bio"), group(EVIL)],
                    &[("group", true), ("members", true)],
                ),
                may_add: true,
                form: form.clone(),
            }),
        ),
        (
            "admin_groups.html",
            "empty",
            of(GroupsPage {
                page: bare(),
                ..GroupsPage::default()
            }),
        ),
        (
            "admin_group.html",
            "full",
            of(GroupPage {
                page: page(),
                area: area("groups"),
                name: EVIL.into(),
                roles: Some(vec!["tutor".into(), EVIL.into()]),
                properties: Some("[1, 2]".into()),
                configured: true,
                members: Some(list(vec![person("ada", true, 1)], &[("name", true)])),
                may_change: true,
                may_delete: true,
                problem: Some("Type the name to confirm.".into()),
                form,
            }),
        ),
        (
            "admin_group.html",
            "empty",
            of(GroupPage {
                page: bare(),
                name: "bio".into(),
                members: Some(Listing::default()),
                ..GroupPage::default()
            }),
        ),
    ]
}

fn things() -> Vec<(&'static str, &'static str, Value)> {
    let service = |name: &str, reachable| AdminService {
        name: name.into(),
        url: Some("http://10.0.0.5:9000".into()),
        prefix: Some(format!("/services/{name}/")),
        roles: Some(vec!["grader".into()]),
        configured: name != "made",
        reachable,
        run: reachable.map(|up| ServiceRun {
            since: up.then_some(NOW - HOUR),
            why: (!up).then(|| "It ended with code 3.".into()),
        }),
    };
    let columns = [
        ("owner", true),
        ("server", false),
        ("state", false),
        ("since", true),
        ("last_activity", true),
    ];
    let of_tokens = [
        ("owner", true),
        ("note", false),
        ("scopes", false),
        ("created", true),
        ("last_used", true),
        ("expires", false),
    ];
    let of_acts = [
        ("at", false),
        ("what", false),
        ("about", false),
        ("doer", false),
        ("address", false),
        ("detail", false),
    ];
    vec![
        (
            "admin_audit.html",
            "full",
            of(AuditPage {
                page: page(),
                area: area("audit"),
                list: list(acts(), &of_acts),
            }),
        ),
        (
            "admin_audit.html",
            "empty",
            of(AuditPage {
                page: bare(),
                ..AuditPage::default()
            }),
        ),
        (
            "admin_servers.html",
            "full",
            of(ServersPage {
                page: page(),
                area: area("servers"),
                list: list(servers(), &columns),
                may_any: true,
            }),
        ),
        (
            "admin_servers.html",
            "empty",
            of(ServersPage {
                page: bare(),
                ..ServersPage::default()
            }),
        ),
        (
            "admin_services.html",
            "full",
            of(ServicesPage {
                page: page(),
                area: area("services"),
                services: vec![
                    service("grader", Some(true)),
                    service("made", Some(false)),
                    AdminService {
                        name: EVIL.into(),
                        ..AdminService::default()
                    },
                ],
            }),
        ),
        (
            "admin_services.html",
            "empty",
            of(ServicesPage {
                page: bare(),
                ..ServicesPage::default()
            }),
        ),
        (
            "admin_tokens.html",
            "full",
            of(TokensPage {
                page: page(),
                area: area("tokens"),
                list: list(
                    vec![
                        AdminToken {
                            token: token("a1", EVIL, &["read:users"; 5]),
                            owner: "ada".into(),
                            owner_url: Some("/hub/admin/user/ada".into()),
                            about: "ada/a1".into(),
                            may_revoke: true,
                        },
                        AdminToken {
                            owner: "ben".into(),
                            ..AdminToken::default()
                        },
                    ],
                    &of_tokens,
                ),
                may_any: true,
            }),
        ),
        (
            "admin_tokens.html",
            "empty",
            of(TokensPage {
                page: bare(),
                ..TokensPage::default()
            }),
        ),
    ]
}
