//! Shared servers.

use super::{EVIL, HOUR, NOW, bare, of, page};
use lyceum_web::page::contexts::*;
use minijinja::value::Value;

const ACCESS: &str = "access:servers!server=ada/gpu";

/// On the home page.
pub(super) fn with_me() -> Vec<SharedRow> {
    let row = |owner: &str, ready: bool, url: bool, group: Option<&str>| SharedRow {
        owner: owner.into(),
        server: "gpu".into(),
        title: Some(format!("Thesis {EVIL}")),
        ready,
        url: url.then(|| format!("/user/{owner}/gpu/")),
        group: group.map(Into::into),
    };
    vec![
        row("grace", true, true, None),
        row("ben", false, true, Some("signals-2026")),
        row("charles", true, false, Some(EVIL)),
    ]
}

fn accept(danger: ShareDanger) -> AcceptSharePage {
    AcceptSharePage {
        owner_title: format!("Grace {EVIL} (grace)"),
        page: page(),
        code: "c0ffee".into(),
        next: "/hub/home".into(),
        owner: "grace".into(),
        server: "gpu".into(),
        title: Some(EVIL.into()),
        scopes: vec![
            "access:servers!server=grace/gpu".into(),
            "custom:grades:read!server=grace/gpu".into(),
        ],
        own_scopes: [("custom:grades:read".into(), "Read grades".into())].into(),
        ready: danger == ShareDanger::Apart,
        danger,
        gone: false,
    }
}

fn sharing(danger: ShareDanger) -> SharingPage {
    let partner = |name: &str, is_group: bool| PartnerRow {
        id: "s1".into(),
        name: name.into(),
        is_group,
        since: NOW - 20 * HOUR,
        scopes: vec![ACCESS.into(), "servers!server=ada/gpu".into()],
    };
    let code = |used: i64| ShareCodeRow {
        id: "c1".into(),
        created: NOW - HOUR,
        expires: NOW + 23 * HOUR,
        used,
        last_used: (used > 0).then_some(NOW),
        scopes: vec![ACCESS.into()],
    };
    SharingPage {
        page: page(),
        servers: vec![
            SharingRow::default(),
            SharingRow {
                server: "gpu".into(),
                title: Some(EVIL.into()),
                partners: vec![
                    partner("ben", false),
                    partner("signals-2026", true),
                    partner(EVIL, true),
                ],
                codes: vec![code(0), code(1), code(1_234)],
            },
        ],
        more: true,
        previous: Some("/hub/sharing?offset=0".into()),
        next: Some("/hub/sharing?offset=1000".into()),
        may_share: true,
        may_name_people: true,
        may_name_groups: true,
        new_code: Some(NewShareCode {
            url: "https://jupyter.example.edu/hub/accept-share?code=c0ffee".into(),
            server: "gpu".into(),
            title: None,
            expires: NOW + 24 * HOUR,
        }),
        error: Some("There is nobody called frieda.".into()),
        danger,
    }
}

pub(super) fn all() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("accept_share.html", "full", of(accept(ShareDanger::Apart))),
        (
            "accept_share.html",
            "one-host",
            of(accept(ShareDanger::OneHost)),
        ),
        (
            "accept_share.html",
            "closed",
            of(accept(ShareDanger::Closed)),
        ),
        (
            "accept_share.html",
            "empty",
            of(AcceptSharePage {
                page: bare(),
                ..AcceptSharePage::default()
            }),
        ),
        (
            "accept_share.html",
            "gone",
            of(AcceptSharePage {
                page: page(),
                gone: true,
                ..AcceptSharePage::default()
            }),
        ),
        ("sharing.html", "full", of(sharing(ShareDanger::OneHost))),
        (
            "sharing.html",
            "may-not",
            of(SharingPage {
                may_share: false,
                may_name_people: false,
                may_name_groups: false,
                new_code: None,
                error: None,
                ..sharing(ShareDanger::Closed)
            }),
        ),
        (
            "sharing.html",
            "closed",
            of(SharingPage {
                new_code: None,
                error: None,
                ..sharing(ShareDanger::Closed)
            }),
        ),
        (
            "sharing.html",
            "empty",
            of(SharingPage {
                page: bare(),
                ..SharingPage::default()
            }),
        ),
    ]
}
