//! Every route there is, called by nobody and by the wrong person.

use hyper::Method;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::routes::{Guard, RouteInfo};

use crate::kit::{program, start_server};

/// Open to everybody, with what is answered: nothing else may let a stranger in.
const OPEN: &[(&str, &str, u16)] = &[
    ("GET", "/hub/login", 200),
    ("GET", "/hub/api", 200),
    ("GET", "/hub/api/", 200),
    ("GET", "/hub/api/openapi.json", 200),
    ("GET", "/hub/health", 200),
    ("GET", "/hub/api/health", 200),
    ("GET", "/favicon.ico", 200),
    ("GET", "/hub/logo", 200),
    // Log-in with nothing filled in, a file that isn't there, a client without a secret.
    ("POST", "/hub/login", 403),
    // A code that belongs to no password.
    ("GET", "/hub/login/code", 302),
    ("POST", "/hub/login/code", 403),
    // Nobody is invited.
    ("GET", "/hub/sign-up", 404),
    ("POST", "/hub/sign-up", 404),
    // A code that nobody typed.
    ("GET", "/hub/login/seat", 200),
    ("POST", "/hub/login/seat", 403),
    // No mail is sent.
    ("GET", "/hub/forgotten", 404),
    ("POST", "/hub/forgotten", 404),
    // A link that nobody made.
    ("GET", "/hub/mail", 404),
    ("POST", "/hub/mail", 404),
    ("GET", "/hub/new-password", 404),
    ("POST", "/hub/new-password", 404),
    ("GET", "/hub/static/{*path}", 404),
    ("GET", "/hub/pages/{name}", 404),
    ("GET", "/hub/error/{status}", 200),
    ("POST", "/hub/api/oauth2/token", 401),
    ("POST", "/hub/api/users/{user}/tokens", 403),
    // A provider's word without one.
    ("POST", "/hub/oauth_backchannel", 400),
    ("GET", "/hub/lti13/jwks", 200),
    // Of a platform that there is not.
    ("GET", "/hub/lti13/config", 404),
    ("GET", "/hub/lti13/config/{method}", 404),
    ("POST", "/hub/oauth_backchannel/{method}", 400),
];

fn fill(path: &str, user: &str) -> String {
    path.replace("{user}", user)
        .replace("{name}", "privacy")
        .replace("{server}", "gpu")
        .replace("{owner}", user)
        .replace("{id}", "a01")
        .replace("{sitting}", "never")
        .replace("{place}", "1")
        .replace("{status}", "503")
        .replace("{*path}", &format!("{user}/lab"))
}

async fn call(client: &Client, route: &RouteInfo, user: &str, accept: &str) -> (u16, String) {
    let path = fill(&route.path, user);
    let headers = [
        ("accept", accept),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let (headers, body): (&[_], String) = match route.method {
        Method::GET => (&headers[..1], String::new()),
        _ if path.starts_with("/hub/api/users") => (
            &[("accept", accept), ("content-type", "application/json")],
            "{}".into(),
        ),
        _ => (&headers, format!("user={user}&server=")),
    };
    let answer = client
        .send(route.method.clone(), &path, headers, body.into())
        .await;
    (answer.status.as_u16(), answer.location().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_anywhere() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    start_server(&hub, "ada").await;
    let stranger = hub.client();
    let forged = hub.client().with_token("forged");
    assert!(hub.routes.len() > 40);
    for route in &hub.routes {
        let what = format!("{} {}", route.method, route.path);
        for accept in ["text/html", "*/*", "application/json"] {
            for client in [&stranger, &forged] {
                let (status, location) = call(client, route, "ada", accept).await;
                let open = OPEN.iter().find(|(method, path, _)| {
                    *method == route.method.as_str() && *path == route.path
                });
                match (route.guard, open) {
                    (Guard::Caller, None) => assert_eq!(status, 403, "{what}"),
                    (Guard::Public(_), Some((_, _, expect))) => {
                        assert_eq!(status, *expect, "{what}");
                    }
                    (Guard::Public(why), None) => {
                        assert!(!why.is_empty(), "{what}");
                        let led_home = status == 302
                            && (location.starts_with("/hub/login") || location == "/hub/home");
                        assert!(led_home || status == 403, "{what}: {status} {location}");
                    }
                    (Guard::Caller, Some(_)) => panic!("{what} is not open"),
                }
            }
        }
    }
    for (method, path, _) in OPEN {
        let there = hub
            .routes
            .iter()
            .any(|route| route.method.as_str() == *method && route.path == *path);
        assert!(there, "{method} {path} is gone from the hub");
    }
    assert_eq!(hub.spawner.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_gets_nowhere_with_somebody_elses() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    start_server(&hub, "ada").await;
    let browser = hub.signed_in("eve").await;
    let xsrf = browser.cookie("_xsrf").expect("a form token");
    let browser = browser.with_header("x-xsrftoken", &xsrf);
    let program = program(&hub, "eve").await;
    let mut walked = 0;
    for route in &hub.routes {
        let names_somebody = route.path.contains("{user}")
            || route.path.contains("/user/{*path}")
            || (route.path.starts_with("/hub/servers/")
                && !["/hub/servers/add", "/hub/servers/title"].contains(&route.path.as_str()));
        if !names_somebody {
            continue;
        }
        for client in [&browser, &program] {
            let (status, location) = call(client, route, "ada", "*/*").await;
            let what = format!("{} {}: {status} {location}", route.method, route.path);
            // A program is no browser: pages send it to the log-in page.
            let page_for_program =
                std::ptr::eq(client, &program) && location.starts_with("/hub/login");
            assert!(matches!(status, 403 | 404) || page_for_program, "{what}");
            walked += 1;
        }
    }
    assert!(walked > 30, "{walked}");
    assert_eq!(hub.spawner.running().len(), 1);
    let (status, _) = {
        let answer = browser.get("/user/ada/lab").await;
        (answer.status.as_u16(), ())
    };
    assert_eq!(status, 403);
    browser.get("/hub/admin").await.expect(403);
}
