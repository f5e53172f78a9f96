//! What people and programs see when a request cannot be served.
//!
//! A browser gets a small page without scripts or outside parts; a program gets
//! `{"status": …, "message": …, "request_id": …}`. Neither carries the cause, but both the request id, which the log
//! has too. A page is in the language that the reader chose on a page of the hub's, else in the one that the
//! browser asks for ([`mod@words`], `added`); JSON is in English.
//! Pages of somebody else, by configuration, come before ours: see `error_page/elsewhere.rs`.
//! [`answer`] is all that the data path calls.

mod added;
mod elsewhere;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
        REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

use self::words::{Words, why, words};
pub(crate) use self::{added::Languages, words::Lang};
use crate::{
    Inner,
    config::Config,
    cookies,
    fields::{Fields, Known},
    metrics::Kind,
    path::BadPath,
};

pub use self::{
    added::AddedLanguage,
    elsewhere::{ErrorPages, ErrorTarget},
    words::ENGLISH_TEXTS,
};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request was not served; the wording is for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    BadRequest(Unclear),
    HeadersTooLarge,
    /// More than a body to there may have.
    BodyTooLarge,
    /// Something of HTTP that is not understood here.
    Unknown(&'static str),
    MethodNotAllowed,
    Denied,
    AccessUnavailable,
    /// Nothing listens, or it closed without an answer.
    NoServer,
    /// Something answered that is not HTTP.
    BadAnswer,
    TooSlow,
    /// One of the three above, of the hub: there is no home page to go to, and no server to start.
    NoHub,
    /// The same of a service beside the servers: nobody who comes there can start it again.
    NoService,
    /// No route, and nowhere else to go.
    NoRoute,
}

/// What is wrong with a request that cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclear {
    TwoHosts,
    NoHost,
    HostsDiffer,
    Unreadable,
    /// In its text; said in full to programs and in logs.
    Ambiguous(&'static str),
    Path(BadPath),
}

impl Failure {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unknown(_) => StatusCode::NOT_IMPLEMENTED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::AccessUnavailable | Self::NoServer | Self::NoHub | Self::NoService => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::NoRoute => StatusCode::NOT_FOUND,
        }
    }

    /// As it looks to whoever wanted something of this kind.
    fn seen(&self, kind: Kind, config: &Config) -> Self {
        match self {
            // In place of configurable-http-proxy everything is open, servers too.
            Self::NoServer | Self::BadAnswer | Self::TooSlow
                if kind == Kind::Open && !config.drop_in =>
            {
                Self::NoService
            }
            Self::NoServer | Self::BadAnswer | Self::TooSlow if kind == Kind::Fallback => {
                Self::NoHub
            }
            other => other.clone(),
        }
    }

    /// In place of configurable-http-proxy a server that fails is 503, however it does.
    fn status_for(&self, config: &Config) -> StatusCode {
        match self {
            Self::BadAnswer | Self::TooSlow if config.drop_in => StatusCode::SERVICE_UNAVAILABLE,
            _ => self.status(),
        }
    }

    /// One sentence for programs.
    fn message(&self) -> String {
        match self {
            Self::BadRequest(unclear) => format!("Bad request: {}", why(*unclear, &Lang::En)),
            Self::Unknown(why) => format!("Not implemented: {why}"),
            Self::Denied => "Not allowed: log in, or use a token that may access this".into(),
            other => {
                let Words { title, remedy, .. } = words(other, &Lang::En);
                format!("{title}. {remedy}")
            }
        }
    }
}

/// In which language a page is to be.
pub(crate) fn language(inner: &Inner, fields: &Fields) -> Lang {
    let chosen = cookies::values(fields, &inner.config.language_cookie);
    let accepted = fields.first(Known::AcceptLanguage).unwrap_or_default();
    inner.languages.wanted(chosen, accepted)
}

/// Whether whoever asks wants JSON rather than a page; `accept` is the header as it came.
pub(crate) fn wants_json(accept: &[u8], path: &str) -> bool {
    let names = |what: &[u8]| accept.windows(what.len()).any(|part| part == what);
    !names(b"text/html") && names(b"application/json") || path.contains("/api/")
}

/// A request that was not served.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) failure: &'a Failure,
    /// What it was for.
    pub(crate) kind: Kind,
    /// Path and query as they came.
    pub(crate) url: &'a str,
    pub(crate) wants_json: bool,
    pub(crate) lang: Lang,
    pub(crate) is_websocket: bool,
    pub(crate) request_id: &'a str,
}

/// The answer to such a request. The body is small; whoever answers a HEAD leaves it out.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, Cow<'static, str>)>,
    pub(crate) body: Bytes,
}

impl From<Page> for Response<Bytes> {
    fn from(page: Page) -> Self {
        let mut response = Response::new(page.body);
        *response.status_mut() = page.status;
        for (name, value) in page.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Never takes longer than [`ErrorPages::patience`] and always has an answer.
pub(crate) async fn answer(inner: &Inner, asked: &Asked<'_>) -> Page {
    let config = &inner.config;
    let status = asked.failure.status_for(config);
    let id = (X_REQUEST_ID, Cow::Owned(asked.request_id.to_owned()));
    if config.drop_in && asked.is_websocket {
        return Page {
            status,
            headers: vec![id],
            body: Bytes::new(),
        };
    }
    let code = status.as_u16();
    // What the request itself got wrong is nobody else's to explain.
    let page = match code {
        404 | 503 => {
            let pages = &config.error_pages;
            pages.fetch(code, asked.url, &inner.connector).await
        }
        _ => None,
    };
    let mut page = match page {
        Some(page) => Page {
            status,
            headers: page.headers,
            body: page.body,
        },
        None => own(config, asked, status),
    };
    page.headers.push(id);
    page.headers.push((CACHE_CONTROL, "no-store".into()));
    page.headers
        .push((X_CONTENT_TYPE_OPTIONS, "nosniff".into()));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        page.headers.push((RETRY_AFTER, "5".into()));
    }
    page
}

fn own(config: &Config, asked: &Asked<'_>, status: StatusCode) -> Page {
    let failure = asked.failure.seen(asked.kind, config);
    let (content_type, text) = if asked.wants_json {
        let body = serde_json::json!({
            "status": status.as_u16(),
            "message": failure.message(),
            "request_id": asked.request_id,
        });
        ("application/json", body.to_string())
    } else {
        let base_path = &config.base_path;
        let page = page(&failure, status, &asked.lang, asked.request_id, base_path);
        ("text/html; charset=utf-8", page)
    };
    Page {
        status,
        headers: vec![
            (CONTENT_TYPE, content_type.into()),
            (REFERRER_POLICY, "no-referrer".into()),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'".into(),
            ),
        ],
        body: text.into(),
    }
}

const STYLE: &str = "
:root{color-scheme:light dark;--back:#f6f5f2;--card:#fff;--ink:#1f2328;--soft:#57606a;--line:#d8d6d0;--link:#0b57a4}
@media(prefers-color-scheme:dark){:root{--back:#16181b;--card:#1f2226;--ink:#e8e6e3;--soft:#a9b1ba;--line:#363b41;--link:#7ab8ff}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:34rem;width:100%;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.25}
p{margin:0 0 1rem}
a{color:var(--link)}
.code{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
";

fn page(
    failure: &Failure,
    status: StatusCode,
    lang: &Lang,
    request_id: &str,
    base_path: &str,
) -> String {
    let Words {
        title,
        meaning,
        remedy,
    } = words(failure, lang);
    // Texts of a language that is added were written by others.
    let (title, meaning, remedy) = (escape(title), escape(meaning), escape(remedy));
    let text = |key: &str| escape(lang.text(key));
    let why = match failure {
        Failure::BadRequest(unclear) => {
            let why = escape(why(*unclear, lang));
            format!("<p>{}</p>\n", text("proxy.refused").replace("{why}", &why))
        }
        _ => String::new(),
    };
    let home = match failure {
        Failure::NoHub => String::new(),
        _ => format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            escape(&format!("{base_path}hub/home")),
            text("proxy.home")
        ),
    };
    let code = text("proxy.code")
        .replace("{status}", status.as_str())
        .replace("{code}", &format!("<code>{request_id}</code>"));
    let direction = match lang.is_right_to_left() {
        true => " dir=\"rtl\"",
        false => "",
    };
    format!(
        "<!doctype html>\n<html lang=\"{tag}\"{direction}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{why}<p>{meaning}</p>\n<p>{remedy}</p>\n\
         {home}<p class=\"code\">{code}</p>\n\
         </main>\n</body>\n</html>\n",
        tag = escape(lang.tag()),
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: [Failure; 18] = [
        Failure::BadRequest(Unclear::TwoHosts),
        Failure::BadRequest(Unclear::NoHost),
        Failure::BadRequest(Unclear::HostsDiffer),
        Failure::BadRequest(Unclear::Unreadable),
        Failure::BadRequest(Unclear::Ambiguous("a line does not end in CR LF")),
        Failure::Unknown("a coding"),
        Failure::BadRequest(Unclear::Path(BadPath::NotAbsolute)),
        Failure::HeadersTooLarge,
        Failure::BodyTooLarge,
        Failure::MethodNotAllowed,
        Failure::Denied,
        Failure::AccessUnavailable,
        Failure::NoServer,
        Failure::NoService,
        Failure::BadAnswer,
        Failure::TooSlow,
        Failure::NoHub,
        Failure::NoRoute,
    ];

    #[test]
    fn pages_escape_what_came_from_outside() {
        for lang in Lang::BUILT_IN {
            let page = page(
                &Failure::NoServer,
                StatusCode::OK,
                &lang,
                "0id",
                "/a\"><b>/",
            );
            assert!(!page.contains("\"><b>"), "{page}");
            assert!(page.contains(&format!("lang=\"{}\"", lang.tag())));
            assert!(page.contains("<h1>") && page.contains("0id"));
        }
    }

    /// The text between tags, line by line.
    fn said(page: &str) -> Vec<String> {
        let (_, body) = page.split_once("<body>").expect("a page");
        body.split(['<', '>'])
            .step_by(2)
            .map(|text| text.trim().to_owned())
            .filter(|text| text.chars().any(char::is_alphabetic) && text != "0id")
            .collect()
    }

    #[test]
    fn no_page_mixes_languages() {
        for failure in FAILURES {
            let english = said(&page(&failure, StatusCode::OK, &Lang::En, "0id", "/"));
            let german = said(&page(&failure, StatusCode::OK, &Lang::De, "0id", "/"));
            assert_eq!(english.len(), german.len(), "{failure:?}");
            assert!(english.len() >= 4, "{english:?}");
            for text in english {
                assert!(!german.contains(&text), "{failure:?}: {text}");
            }
        }
    }

    fn added(texts: &[(&str, &str)]) -> Lang {
        let texts = texts
            .iter()
            .map(|(key, text)| ((*key).into(), (*text).into()));
        Lang::Added(std::sync::Arc::new(AddedLanguage {
            tag: "ar".into(),
            right_to_left: true,
            texts: texts.collect(),
        }))
    }

    #[test]
    fn a_language_that_was_added_is_text_and_what_it_lacks_is_english() {
        let lang = added(&[
            ("proxy.no_server.title", "<script>x</script> & \"'"),
            ("proxy.code", "<i>{code}</i> {status}"),
            ("proxy.refused", "<u>{why}</u>"),
        ]);
        let page = |failure: &Failure| super::page(failure, StatusCode::OK, &lang, "0id", "/");
        let shown = page(&Failure::NoServer);
        assert!(shown.contains("<html lang=\"ar\" dir=\"rtl\">"), "{shown}");
        let title = "&lt;script&gt;x&lt;/script&gt; &amp; &quot;&#39;";
        assert!(shown.contains(&format!("<h1>{title}</h1>")), "{shown}");
        assert!(
            shown.contains(&format!("<title>{title}</title>")),
            "{shown}"
        );
        assert!(
            shown.contains("&lt;i&gt;<code>0id</code>&lt;/i&gt; 200"),
            "{shown}"
        );
        assert!(
            shown.contains("Wait a moment and reload this page."),
            "{shown}"
        );
        let refused = page(&Failure::BadRequest(Unclear::NoHost));
        assert!(
            refused.contains("&lt;u&gt;it names no host&lt;/u&gt;"),
            "{refused}"
        );
    }

    /// Each key has a use, so nobody translates for nothing, and no page lacks a text.
    #[test]
    fn every_text_is_on_a_page() {
        let keys = ENGLISH_TEXTS
            .lines()
            .filter_map(|line| line.split_once(" = "));
        let keys: Vec<&str> = keys.map(|(key, _)| key).collect();
        let marked: Vec<(String, String)> = keys
            .iter()
            .map(|key| ((*key).to_owned(), format!("[{key}] {{why}} {{code}}")))
            .collect();
        let marked: Vec<(&str, &str)> = marked
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_str()))
            .collect();
        let lang = added(&marked);
        let more = [BadPath::Nul, BadPath::Backslash, BadPath::DotSegment];
        let more = more.map(|path| Failure::BadRequest(Unclear::Path(path)));
        let pages: String = FAILURES
            .iter()
            .chain(&more)
            .map(|failure| page(failure, StatusCode::OK, &lang, "0id", "/"))
            .collect();
        for key in keys {
            assert!(pages.contains(&format!("[{key}]")), "{key}");
        }
        assert!(
            !pages.contains("<p></p>") && !pages.contains("<h1></h1>"),
            "{pages}"
        );
    }

    #[test]
    fn programs_get_json() {
        let check = |accept: Option<&str>, path: &str, expect: bool| {
            let accepted = accept.unwrap_or_default().as_bytes();
            assert_eq!(wants_json(accepted, path), expect, "{accept:?} {path}");
        };
        check(None, "/user/ada/lab", false);
        check(Some("text/html,application/json"), "/user/ada/lab", false);
        check(Some("application/json"), "/user/ada/lab", true);
        check(Some("text/html"), "/user/ada/api/contents", true);
    }
}
