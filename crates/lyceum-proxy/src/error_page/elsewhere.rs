//! Error pages that somebody else makes: a server that is asked (`TARGET/CODE?url=…`), or files in
//! a folder (`CODE.html`, then `error.html`).
//!
//! Neither may take long or be large; when it fails, the caller has a page of its own.

use std::{borrow::Cow, fmt, io, path::PathBuf, str::FromStr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request,
    client::conn::http1,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
};

use crate::{target::Target, upstream::Connector};

/// The largest page.
const LARGEST: usize = 1024 * 1024;

/// Who makes the pages for errors, if not the proxy itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorPages {
    /// Asked for the page; comes before `folder`.
    pub target: Option<ErrorTarget>,
    /// Has `404.html`, `503.html` or `error.html`.
    pub folder: Option<PathBuf>,
    /// How long a page may take.
    pub patience: Duration,
}

/// How often the target is asked at once; others get our own page. Each asking is a connection.
static ASKING: Semaphore = Semaphore::const_new(64);

impl Default for ErrorPages {
    fn default() -> Self {
        Self {
            target: None,
            folder: None,
            patience: Duration::from_secs(5),
        }
    }
}

/// A page from elsewhere.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) headers: Vec<(HeaderName, Cow<'static, str>)>,
    pub(super) body: Bytes,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl ErrorPages {
    /// None if there is nobody to ask, or nothing came of it.
    pub(super) async fn fetch(
        &self,
        code: u16,
        url: &str,
        connector: &Connector,
    ) -> Option<Fetched> {
        let page = async {
            match (&self.target, &self.folder) {
                (Some(target), _) => match ASKING.try_acquire() {
                    Ok(_turn) => target.fetch(code, url, connector).await.map(Some),
                    Err(_) => Ok(None),
                },
                (None, Some(folder)) => read(folder, code).await.map(Some),
                (None, None) => Ok(None),
            }
        };
        match tokio::time::timeout(self.patience, page).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::warn!(code, error, "no error page from elsewhere");
                None
            }
            Err(_) => {
                tracing::warn!(code, "an error page from elsewhere took too long");
                None
            }
        }
    }
}

async fn read(folder: &std::path::Path, code: u16) -> Result<Fetched, String> {
    let mut last = String::new();
    for name in [format!("{code}.html"), "error.html".to_owned()] {
        let path = folder.join(name);
        match read_file(&path).await {
            Ok(body) => {
                return Ok(Fetched {
                    headers: vec![(CONTENT_TYPE, "text/html".into())],
                    body: body.into(),
                });
            }
            Err(error) => last = format!("{}: {error}", path.display()),
        }
    }
    Err(last)
}

async fn read_file(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut body = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut body).await?;
    if body.len() > LARGEST {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(body)
}

/// A server that makes error pages, such as `http://127.0.0.1:8081/hub/error`,
/// `https://hub:8081/hub/error` (checked as all servers are) or
/// `http+unix://%2Frun%2Fhub.sock/hub/error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErrorTarget {
    place: Place,
    /// With a slash at its end.
    path: String,
    /// Asked along, before `url`.
    query: Option<String>,
    /// As it was written.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Host and port.
    Tcp(String),
    Tls(Target),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl ErrorTarget {
    async fn fetch(&self, code: u16, url: &str, connector: &Connector) -> Result<Fetched, String> {
        self.ask(code, url, connector)
            .await
            .map_err(|error| format!("{}: {error}", self.text))
    }

    async fn ask(&self, code: u16, url: &str, connector: &Connector) -> Result<Fetched, Error> {
        let (stream, host): (Box<dyn Stream>, &str) = match &self.place {
            Place::Tls(target) => (Box::new(connector.connect(target).await?), target.host()),
            Place::Tcp(authority) => (Box::new(TcpStream::connect(authority).await?), authority),
            Place::Unix(path) => (Box::new(UnixStream::connect(path).await?), "localhost"),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let escaped = utf8_percent_encode(url, NON_ALPHANUMERIC);
        let query = self.query.as_deref().map(|q| format!("{q}&"));
        let query = query.unwrap_or_default();
        let request = Request::get(format!("{}{code}?{query}url={escaped}", self.path))
            .header(HOST, host)
            .body(Empty::<Bytes>::new())?;
        let asking = async {
            let response = sender.send_request(request).await?;
            let headers = [CONTENT_TYPE, CONTENT_ENCODING]
                .into_iter()
                .filter_map(|name| {
                    let value = response.headers().get(&name)?.to_str().ok()?;
                    Some((name, Cow::Owned(value.to_owned())))
                })
                .collect();
            let body = Limited::new(response.into_body(), LARGEST)
                .collect()
                .await?;
            Ok::<_, Error>(Fetched {
                headers,
                body: body.to_bytes(),
            })
        };
        // The connection lives here and ends with the answer, not in a task of its own.
        tokio::pin!(asking);
        tokio::pin!(connection);
        let mut is_open = true;
        loop {
            tokio::select! {
                page = &mut asking => return page,
                end = &mut connection, if is_open => {
                    is_open = false;
                    end?;
                }
            }
        }
    }
}

impl FromStr for ErrorTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" cannot be asked for error pages: {why}");
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it must begin with http:// or https://"))?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(at);
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let path = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        path.parse::<hyper::Uri>()
            .map_err(|_| wrong("its path is not well formed"))?;
        let place = match scheme {
            "https" => Place::Tls(format!("https://{authority}").parse()?),
            "http" => {
                let parsed: hyper::http::uri::Authority = authority
                    .parse()
                    .map_err(|_| wrong("a host, and perhaps a port, must follow http://"))?;
                if authority.contains('@') {
                    return Err(wrong("it must not carry a user name"));
                }
                let port = parsed.port_u16();
                if port.is_none() && authority.len() != parsed.host().len() {
                    return Err(wrong("its port is not a number up to 65535"));
                }
                Place::Tcp(format!("{}:{}", parsed.host(), port.unwrap_or(80)))
            }
            "http+unix" | "unix+http" => {
                let path = percent_decode_str(authority)
                    .decode_utf8()
                    .map_err(|_| wrong("the socket's path is not UTF-8"))?;
                if path.is_empty() {
                    return Err(wrong(
                        "the socket's path must follow, with / written as %2F",
                    ));
                }
                Place::Unix(PathBuf::from(path.into_owned()))
            }
            _ => {
                return Err(wrong(
                    "it must begin with http://, https:// or http+unix://",
                ));
            }
        };
        Ok(Self {
            place,
            path,
            query,
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for ErrorTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ErrorTarget> for String {
    fn from(target: ErrorTarget) -> Self {
        target.text
    }
}

impl fmt::Display for ErrorTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_for_error_pages_are_read() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let got = text.parse::<ErrorTarget>().ok().map(|target| {
                let place = match target.place {
                    Place::Tcp(authority) => authority,
                    Place::Tls(target) => target.to_string(),
                    Place::Unix(path) => path.display().to_string(),
                };
                (place, target.path)
            });
            let got = got
                .as_ref()
                .map(|(place, path)| (place.as_str(), path.as_str()));
            assert_eq!(got, expect, "{text}");
        };
        check(
            "http://127.0.0.1:8081/hub/error",
            Some(("127.0.0.1:8081", "/hub/error/")),
        );
        check(
            "http://127.0.0.1:8081/hub/error/",
            Some(("127.0.0.1:8081", "/hub/error/")),
        );
        check("http://hub", Some(("hub:80", "/")));
        check("http://[::1]:9?a=b", Some(("[::1]:9", "/")));
        check("https://hub/e", Some(("https://hub:443", "/e/")));
        check("https://[::1]:9", Some(("https://[::1]:9", "/")));
        check(
            "http+unix://%2Frun%2Fh.sock/e",
            Some(("/run/h.sock", "/e/")),
        );
        check("unix+http://%2Frun%2Fh.sock", Some(("/run/h.sock", "/")));
        for wrong in [
            "hub:8081",
            "https://",
            "https://u@hub",
            "ftp://hub",
            "http://",
            "http://u@h",
            "http://h:x",
            "http+unix:///e",
        ] {
            check(wrong, None);
        }
    }
}
