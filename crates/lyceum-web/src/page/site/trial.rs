//! What each page could have to show, to try a site's templates before anybody sees them.

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::page::contexts::admin::{Listing, OverviewPage};
use crate::page::contexts::*;

fn page() -> Page {
    Page {
        base: "/hub/".into(),
        user: Some(PageUser {
            name: "ada".into(),
            display_name: "Ada".into(),
            admin: true,
        }),
        xsrf: "trial".into(),
        site: Site {
            name: "Trial".into(),
        },
        scopes: vec!["admin-ui".into(), "access:servers!user=ada".into()],
        ..Page::default()
    }
}

fn server(name: &str, state: ServerState) -> ServerRow {
    ServerRow {
        user: "ada".into(),
        server: name.into(),
        state,
        last_activity: Some(0),
        url: format!("/user/ada/{name}"),
        progress_url: format!("/hub/spawn-pending/ada/{name}"),
        ..ServerRow::default()
    }
}

#[derive(Serialize)]
struct Frame {
    page: Page,
}

/// What every page has.
pub(super) fn frame() -> Value {
    value(&Frame { page: page() })
}

fn value(context: &impl Serialize) -> Value {
    Value::from(Serde(context))
}

/// One or two of each, with the names of our templates.
pub(super) fn pages() -> Vec<(&'static str, Value)> {
    let anonymous = Page {
        user: None,
        ..page()
    };
    let failure = Some(Failure {
        reason: "trial".into(),
        ..Failure::default()
    });
    let progress = |failure| ProgressPage {
        page: page(),
        server: server("", ServerState::Starting),
        events_url: "/hub/api/users/ada/server/progress".into(),
        url: "/user/ada/".into(),
        failure,
        ..ProgressPage::default()
    };
    let error = |page, status| ErrorPage {
        page,
        status,
        detail: Some("trial".into()),
        ..ErrorPage::default()
    };
    vec![
        (
            "login.html",
            value(&LoginPage {
                page: anonymous.clone(),
                password_form: true,
                error: Some(LoginError::Refused),
                ..LoginPage::default()
            }),
        ),
        (
            "home.html",
            value(&HomePage {
                page: page(),
                servers: vec![
                    server("", ServerState::Ready),
                    server("gpu", ServerState::Stopped),
                ],
                add: Some(AddServer::default()),
                ..HomePage::default()
            }),
        ),
        ("progress.html", value(&progress(None))),
        ("progress.html", value(&progress(failure))),
        (
            "spawn.html",
            value(&SpawnPage {
                page: page(),
                server: server("", ServerState::Stopped),
                action: "/hub/spawn/ada".into(),
                error: Some("trial".into()),
                wrong: None,
                options_form: "<p>trial</p>".into(),
            }),
        ),
        (
            "stopping.html",
            value(&StoppingPage {
                page: page(),
                server: server("", ServerState::Stopping),
            }),
        ),
        (
            "not_running.html",
            value(&NotRunningPage {
                page: page(),
                server: server("", ServerState::Stopped),
                start_url: Some("/hub/spawn/ada".into()),
                ..NotRunningPage::default()
            }),
        ),
        (
            "token.html",
            value(&TokenPage {
                page: page(),
                list: Listing {
                    rows: vec![TokenRow {
                        scopes: vec!["self".into()],
                        ..TokenRow::default()
                    }],
                    ..Listing::default()
                },
                applications: vec![Application {
                    name: "/services/grades/".into(),
                    ..Application::default()
                }],
                ..TokenPage::default()
            }),
        ),
        (
            "oauth.html",
            value(&OAuthPage {
                page: page(),
                client: OAuthClient {
                    kind: "server",
                    owner: "ada".into(),
                    path: "/user/ada/".into(),
                    ..OAuthClient::default()
                },
                scopes: vec!["access:servers!server=ada/".into()],
                ..OAuthPage::default()
            }),
        ),
        (
            "logout.html",
            value(&LogoutPage {
                there: None,
                page: anonymous.clone(),
            }),
        ),
        ("error.html", value(&error(page(), 500))),
        ("error.html", value(&error(anonymous.clone(), 403))),
        ("error.html", value(&error(anonymous, 404))),
        (
            "admin.html",
            value(&OverviewPage {
                page: page(),
                ..OverviewPage::default()
            }),
        ),
    ]
}
