//! Flaws that were published about others, tried at every door at once. Which attack is told where is in
//! docs/developer/attacks.md; most stand with the stories of what they are against.

use bytes::Bytes;
use hyper::Method;
use lyceum_auth::config::SignUp;
use lyceum_testkit::client::Answer;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, Smtp, TestDb, TestHub};
use lyceum_web::cookie;
use lyceum_web::routes::{Guard, RouteInfo};
use serde_json::json;

use crate::identify::fetches;
use crate::kit::{program, quoted};
use crate::pages::second_factor;
use crate::sittings;
use crate::walk::fill;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ROOT: &str = "root";
const NEW: &str = "lantern orbit gravel";
const MARKUP: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";

/// A form for those who have no session, as its page in a browser has it, and what is answered to it.
struct OpenForm {
    path: &'static str,
    browser: Client,
    fields: Vec<(&'static str, String)>,
    answer: u16,
}

impl OpenForm {
    async fn post(&self, token: &str, headers: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.fields)
            .append_pair("_xsrf", token)
            .finish();
        let headers = [&[FORM], headers].concat();
        self.browser
            .send(Method::POST, self.path, &headers, body.into())
            .await
    }
}

/// The secret in a link of a page.
fn secret_in(page: &str, before: &str) -> String {
    let (_, rest) = page.split_once(before).expect("a link");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Each form that a browser may post without a session, with all that makes it good.
async fn open_forms(hub: &TestHub, smtp: &Smtp) -> Vec<OpenForm> {
    let root = hub.signed_in("root").await;
    let ada = hub.signed_in("ada").await;
    let page = root
        .post_form("/hub/admin/user/ben", &[("do", "password-link")])
        .await;
    let link = secret_in(&page.expect(200).text(), "/hub/new-password?link=");
    let fields = [("address", "ada@example.edu"), ("old", PASSWORD)];
    ada.post_form("/hub/password/mail", &fields).await;
    let proof = smtp.letter(1).await.secret("link");
    let (_, codes) = second_factor::set_up(&ada, &hub.clock).await;
    let half_way = second_factor::half_way(hub, "ada").await;
    let (_, sheets) = sittings::make(&hub.hub, sittings::wish(&hub.hub, "grace")).await;
    let form = async |path: &'static str, ask: &str, fields: &[(&'static str, &str)], answer| {
        let browser = hub.client();
        browser.get(&format!("{path}{ask}")).await.expect(200);
        let fields = fields.iter().map(|(name, value)| (*name, (*value).into()));
        OpenForm {
            path,
            browser,
            fields: fields.collect(),
            answer,
        }
    };
    let log_in = [("username", "ben"), ("password", PASSWORD)];
    let new = [("link", &*link), ("new", NEW), ("again", NEW)];
    let asks = [("name", "grete"), ("new", NEW), ("again", NEW)];
    let code = sheets[0].code.shown();
    vec![
        form("/hub/login", "", &log_in, 302).await,
        form("/hub/forgotten", "", &[("who", "ben")], 200).await,
        form(
            "/hub/mail",
            &format!("?link={proof}"),
            &[("link", &proof)],
            200,
        )
        .await,
        form("/hub/sign-up", "", &asks, 200).await,
        form("/hub/login/seat", "", &[("code", &code)], 302).await,
        OpenForm {
            path: "/hub/login/code",
            browser: half_way,
            fields: vec![("code", codes[0].clone())],
            answer: 302,
        },
        // The last: it ends what else she had.
        form("/hub/new-password", &format!("?link={link}"), &new, 200).await,
    ]
}

/// Log-in CSRF and its like: no page elsewhere posts what needs no session, whatever the browser says of it.
#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_strangers_is_taken_from_elsewhere() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let hub = hub.with_user("ada").await.with_user("ben").await;
    let smtp = Smtp::start().await;
    hub.send_mail_by(smtp.config()).await;
    hub.sign_up(SignUp::Approval);
    let forms = open_forms(&hub, &smtp).await;
    // Every route that strangers may post to as a form, but those that have no token or prove themselves.
    let own_word = |path: &str| {
        [
            "/hub/api/",
            "/hub/lti/",
            "/hub/lti13/",
            "/hub/oauth_backchannel",
        ]
        .iter()
        .any(|start| path.starts_with(start))
            || ["/hub/language", "/hub/logout"].contains(&path)
    };
    let mut open: Vec<&str> = hub.routes.iter().filter_map(open_post).collect();
    open.retain(|path| !own_word(path));
    open.sort_unstable();
    let mut told: Vec<&str> = forms.iter().map(|form| form.path).collect();
    told.sort_unstable();
    assert_eq!(told, open, "each has a form here");

    let other = hub.client().with_header("user-agent", "another browser");
    other.get("/hub/login").await.expect(200);
    let foreign = other.cookie(cookie::XSRF).expect("a form token");
    for form in &forms {
        let token = form.browser.cookie(cookie::XSRF).expect("a form token");
        assert_ne!(token, foreign);
        let refused = async |token: &str, headers: &[(&str, &str)]| {
            let answer = form.post(token, headers).await;
            let what = format!("{} {headers:?}", form.path);
            assert_eq!(answer.status, 403, "{what}: {}", answer.text());
            assert!(form.browser.cookie(cookie::LOGIN).is_none(), "{what}");
        };
        for fetch in fetches() {
            // A token of another browser, a piece of the right one, or none.
            for wrong in ["", &foreign, &token[1..]] {
                refused(wrong, &fetch).await;
            }
            let is_elsewhere = |(name, value): &(&str, &str)| {
                *name == "sec-fetch-site" && !["none", "same-origin"].contains(value)
            };
            if fetch.iter().any(is_elsewhere) {
                refused(&token, &fetch).await;
            }
        }
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1.evil.example",
        ] {
            refused(&token, &[("origin", origin)]).await;
        }
        // All of that used nothing up.
        let answer = form
            .post(&token, &[("sec-fetch-site", "same-origin")])
            .await;
        assert_eq!(
            answer.status,
            form.answer,
            "{}: {}",
            form.path,
            answer.text()
        );
    }
    hub.stop().await;
}

fn open_post(route: &RouteInfo) -> Option<&str> {
    let is_open = route.method == Method::POST && route.guard != Guard::Caller;
    is_open.then_some(&*route.path)
}

/// GHSA-5xvc-vgmp-jgc3: nobody becomes somebody who is there by another way of writing her name.
#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_name_makes_its_owner() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let hub = hub.with_user("ada").await.with_user("kass").await;
    hub.sign_up(SignUp::Invitation);
    let root = hub.signed_in("root").await;
    let script = program(&hub, "root").await;
    let invite = [("do", "make"), ("note", "x"), ("groups", "")];
    let page = root.post_form("/hub/admin/users/invite", &invite).await;
    let invitation = secret_in(&page.expect(200).text(), "/hub/sign-up?invitation=");
    let people = async || {
        let list = script.get("/hub/api/users").await.expect(200).json();
        let list = list.as_array().expect("a list").clone();
        let names = list.iter().map(|user| user["name"].to_string());
        names.collect::<Vec<String>>()
    };
    let before = people().await;
    assert_eq!(before.len(), 3, "{before:?}");
    let guest = hub.client();
    let show = format!("/hub/sign-up?invitation={invitation}");
    guest.get(&show).await.expect(200);
    for name in [
        "Ada",
        "ADA",
        " ada",
        "ada\t",
        "ada\u{a0}",
        "ada\u{200b}",
        "\u{feff}ada",
        "\u{202e}ada",
        "ada\u{301}",
        "\u{430}da",
        "a\u{501}a",
        "\u{ff41}\u{ff44}\u{ff41}",
        "\u{1d5ba}da",
        "\u{e5}da",
        // Letters that become others in small or in capitals.
        "\u{212a}ass",
        "ka\u{17f}s",
        "ka\u{df}",
        "ada\0",
        "ada\n",
        "ada\r\n",
        "ada%00",
        "ada/",
        "./ada",
        "ada\\",
    ] {
        let fields = [
            ("invitation", &*invitation),
            ("name", name),
            ("new", NEW),
            ("again", NEW),
        ];
        let answer = guest.post_form("/hub/sign-up", &fields).await;
        assert_eq!(answer.status, 400, "{name:?}: {}", answer.text());
        let path = format!("/hub/api/users/{}", quoted(name));
        let made = script.post_json(&path, &json!({})).await;
        let refused = [400, 404, 405, 409].contains(&made.status.as_u16());
        assert!(refused, "{name:?}: {} {}", made.status, made.text());
        let many = script
            .post_json("/hub/api/users", &json!({"usernames": [name]}))
            .await;
        let refused = [400, 409].contains(&many.status.as_u16());
        assert!(refused, "{name:?}: {} {}", many.status, many.text());
        // By no way of writing it another password is hers; what was right clears the count of tries.
        hub.client().log_in(name, NEW).await.expect(403);
        hub.client().log_in("ada", PASSWORD).await.expect(302);
    }
    assert_eq!(people().await, before);
    hub.client().log_in("kass", PASSWORD).await.expect(302);
    // And the invitation was good all the time.
    let fields = [
        ("invitation", &*invitation),
        ("name", "grete"),
        ("new", NEW),
        ("again", NEW),
    ];
    guest.post_form("/hub/sign-up", &fields).await.expect(200);
    hub.stop().await;
}

/// No enumeration: whatever has a name in its path answers the same for somebody and for nobody, to strangers
/// and to those to whom she is nobody's business.
#[tokio::test(flavor = "multi_thread")]
async fn no_door_tells_whether_a_name_is_somebodys() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let hub = hub.with_user("grace").await.with_user("ada").await;
    let (here, nowhere) = ("grace", "gracf");
    let askers = [
        ("a stranger", hub.client()),
        ("a student", hub.signed_in("ada").await),
        ("a program", program(&hub, "ada").await),
        // Who may see everybody: the same questions show the difference.
        (ROOT, hub.signed_in("root").await),
    ];
    let has_name = |route: &&RouteInfo| {
        let path = &*route.path;
        ["{user}", "{owner}", "{*path}"]
            .iter()
            .any(|part| path.contains(part))
            && !path.starts_with("/hub/static/")
    };
    let (mut asked, mut seen) = (0, 0);
    // What changes something comes last, since the administrator may delete her.
    let mut routes: Vec<&RouteInfo> = hub.routes.iter().filter(has_name).collect();
    routes.sort_by_key(|route| route.method != Method::GET);
    for route in routes {
        for (who, client) in &askers {
            let mut told = Vec::new();
            for name in [here, nowhere] {
                let path = fill(&route.path, "a01").replace("ada", name);
                let token = client.cookie(cookie::XSRF).unwrap_or_default();
                let is_api = route.path.starts_with("/hub/api/");
                let (kind, body) = match is_api {
                    true => ("application/json", "{}".to_owned()),
                    false => (
                        FORM.1,
                        format!("user={name}&server=&_xsrf={}", quoted(&token)),
                    ),
                };
                let headers = [
                    ("content-type", kind),
                    ("x-xsrftoken", &*token),
                    ("sec-fetch-site", "same-origin"),
                ];
                let body = match route.method {
                    Method::GET => Bytes::new(),
                    _ => body.into(),
                };
                let answer = client
                    .send(route.method.clone(), &path, &headers, body)
                    .await;
                let location = match answer.headers.contains_key("location") {
                    true => answer.location().replace(name, here),
                    false => String::new(),
                };
                told.push((answer.status, location, answer.text().replace(name, here)));
            }
            if *who == ROOT {
                seen += usize::from(told[0] != told[1]);
                continue;
            }
            let what = format!("{} {} to {who}", route.method, route.path);
            assert_eq!(told[0], told[1], "{what}");
            asked += 1;
        }
    }
    assert!(asked > 60 && seen > 5, "{asked} {seen}");
    // What takes a name and a password in the body.
    let by_password = async |name: &str| {
        let body = json!({"auth": {"username": name, "password": "a guess"}});
        let path = format!("/hub/api/users/{name}/tokens");
        let answer = hub.client().post_json(&path, &body).await;
        (answer.status, answer.text().replace(name, here))
    };
    assert_eq!(by_password(here).await, by_password(nowhere).await);
    hub.stop().await;
}

/// GHSA-c4gm-pwx9-9w8j and CVE-2026-33709 at every page there is: what an address asks with is never markup, and
/// leads to no other site.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_address_asks_with_is_text_and_leads_nowhere_else() {
    const KEYS: [&str; 16] = [
        "next",
        "code",
        "link",
        "invitation",
        "mail",
        "q",
        "sort",
        "offset",
        "state",
        "error",
        "error_description",
        "message",
        "username",
        "name",
        "server",
        "redirect_uri",
    ];
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let hub = hub.with_admin("root").await;
    let smtp = Smtp::start().await;
    hub.send_mail_by(smtp.config()).await;
    hub.sign_up(SignUp::Approval);
    let base = url::Url::parse(&format!("http://{}/hub/x", hub.address())).expect("an address");
    let wishes = [
        MARKUP,
        "//evil.example/",
        "/\\evil.example/",
        "https://evil.example/",
        "/hub/home\r\nX-Evil: 1",
        "javascript:alert(1)",
    ];
    let html = [("accept", "text/html"), ("sec-fetch-site", "same-origin")];
    let (stranger, mut root) = (hub.client(), hub.signed_in("root").await);
    let mut asked = 0;
    for route in hub
        .routes
        .iter()
        .filter(|route| route.method == Method::GET)
    {
        // A stream that goes on.
        if route.path.contains("progress") {
            continue;
        }
        for wish in wishes {
            let query: Vec<String> = KEYS
                .iter()
                .map(|key| format!("{key}={}", quoted(wish)))
                .collect();
            let path = fill(&route.path, "a01");
            let join = if path.contains('?') { "&" } else { "?" };
            let path = format!("{path}{join}{}", query.join("&"));
            // Some addresses end what the browser has.
            if root.cookie(cookie::LOGIN).is_none() {
                root = hub.signed_in("root").await;
            }
            for client in [&stranger, &root] {
                let answer = client.send(Method::GET, &path, &html, Bytes::new()).await;
                let what = format!("{} {wish:?}", route.path);
                assert!(answer.status.as_u16() < 500, "{what}: {}", answer.text());
                assert!(!answer.headers.contains_key("x-evil"), "{what}");
                if answer.headers.contains_key("location") {
                    let to = base.join(answer.location()).expect("an address");
                    assert_eq!(to.origin(), base.origin(), "{what}: {to}");
                }
                let kind = answer.headers.get("content-type");
                if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
                    let text = answer.text();
                    assert!(!text.contains("<script>alert"), "{what}: {text}");
                    assert!(!text.contains("<img src=x"), "{what}: {text}");
                    for scheme in ["javascript:", "//evil", "/\\evil", "https://evil"] {
                        for attribute in ["href", "action", "src"] {
                            let led = format!("{attribute}=\"{scheme}");
                            assert!(!text.contains(&led), "{what}: {text}");
                        }
                    }
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
    hub.stop().await;
}

/// What is secret is compared by `ct_eq` or looked up by its hash, and never by `==`, which tells by its time how
/// much of a guess was right.
#[test]
fn secrets_are_not_compared_letter_by_letter() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let word = "(secret|token|password|passphrase|hash|nonce|verifier|xsrf)";
    let compared = format!(
        r"\b[a-z_.]*{word}[a-z_]*(\(\))?(\.(expose|as_str|as_bytes)\(\))* *[!=]= *[&*a-z]|[!=]= *[&*]*[a-z_.]*\b{word}(\.(expose|as_str|as_bytes)\(\))*\b[^(_]"
    );
    let compared = regex::Regex::new(&compared).expect("a pattern");
    let mut folders = vec![std::path::PathBuf::from(crates)];
    let (mut looked_at, mut found) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if path.is_dir() && !["tests", "fuzz"].contains(&name.unwrap_or_default()) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && name != Some("tests.rs")
            {
                looked_at += 1;
                let text = std::fs::read_to_string(&path).expect("text");
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = text.lines().map(str::trim);
                let lines = lines.filter(|line| compared.is_match(line));
                found.extend(lines.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(looked_at > 300, "{looked_at}");
    found.retain(|line| !NO_SECRETS.iter().any(|known| line.contains(known)));
    assert_eq!(
        found, [""; 0],
        "use `ct_eq`, or say in `NO_SECRETS` why not"
    );
}

/// Lines that compare what nobody could guess at, each with its reason.
const NO_SECRETS: &[&str] = &[
    // Whether a provider gave another one in its place; both are ours.
    "(token != self.token).then",
    // What was sealed for her half an hour ago against what stands in her row; nobody types either.
    "mark(hub, &mut tx, &user).await? != half_way.password",
    "mark(hub, &mut tx, &here.user).await? != here.half_way.password",
    // Files of our own, and what the configuration says twice.
    "blake3::hash(body).to_hex().as_str() != digest",
    "is_ok_and(|text| text.trim() == secret.expose())",
    "new.proxy_secret != current.proxy_secret",
    "token_hash.is_some() && one.token_hash == token_hash",
];
