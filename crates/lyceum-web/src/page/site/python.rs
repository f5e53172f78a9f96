//! Objects that templates for JupyterHub treat as Python's: moments, people, servers.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::value::{Kwargs, Object, Value, from_args};
use minijinja::{Error, ErrorKind, State};

/// A `datetime` in UTC, as `isoformat()` and `strftime()` tell it.
#[derive(Debug)]
pub(super) struct Moment(Timestamp);

impl Moment {
    /// `none` stays none: templates ask `if token.expires_at`.
    pub(super) fn value(millis: Option<i64>) -> Value {
        millis
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .map_or(Value::from(()), |stamp| Value::from_object(Self(stamp)))
    }

    fn iso(&self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }
}

impl Object for Moment {
    /// It has no length, and yet it is something.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "isoformat" => Ok(Value::from(self.iso())),
            "timestamp" => Ok(Value::from(self.0.as_second())),
            "strftime" => {
                let (format,): (&str,) = from_args(args)?;
                let text = jiff::fmt::strtime::format(format, self.0).map_err(|error| {
                    Error::new(ErrorKind::InvalidOperation, format!("strftime: {error}"))
                })?;
                Ok(Value::from(text))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }
}

/// JupyterHub's `user`.
#[derive(Debug)]
pub(super) struct Person {
    pub name: String,
    pub display_name: String,
    pub admin: bool,
    /// The default server first.
    pub spawners: Vec<Value>,
    /// The base path.
    pub prefix: String,
}

impl Person {
    fn url(&self, server: &str) -> String {
        let name = escape(&self.name);
        let all = format!("{}user/{name}/", self.prefix);
        match server {
            "" => all,
            server => format!("{all}{}/", escape(server)),
        }
    }

    fn default_server(&self) -> Option<&Value> {
        self.spawners.first()
    }

    fn default_is(&self, what: &str) -> bool {
        let is = |server: &Value| server.get_attr(what).is_ok_and(|is| is.is_true());
        self.default_server().is_some_and(is)
    }
}

impl Object for Person {
    /// It has no length, and yet it is something.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let is_any = |what: &str| {
            let is = |server: &Value| server.get_attr(what).is_ok_and(|is| is.is_true());
            Value::from(self.spawners.iter().any(is))
        };
        Some(match key.as_str()? {
            "name" => self.name.as_str().into(),
            "display_name" => self.display_name.as_str().into(),
            "escaped_name" => escape(&self.name).into(),
            "json_escaped_name" => json_escaped(&self.name).into(),
            "admin" => self.admin.into(),
            "url" | "base_url" | "prefix" => self.url("").into(),
            "server" => match self.default_is("ready") {
                true => self.url("").into(),
                false => Value::from(()),
            },
            "active" => is_any("active"),
            "running" => self.default_is("ready").into(),
            "spawner" => self.default_server()?.clone(),
            "spawn_pending" => (self.default_is("active") && !self.default_is("ready")).into(),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "server_url" => {
                let (server,): (Option<&str>,) = from_args(args)?;
                Ok(Value::from(self.url(server.unwrap_or_default())))
            }
            "all_spawners" => {
                let (default, named): (Option<bool>, Kwargs) = from_args(args)?;
                let with = named.get::<Option<bool>>("include_default")?;
                let from = usize::from(!with.or(default).unwrap_or(true));
                let some: Vec<Value> = self.spawners.iter().skip(from).cloned().collect();
                Ok(Value::from(some))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// For a path.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, PATH).to_string()
}

const PATH: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@');

/// For a string in a script, wherever it stands in HTML.
fn json_escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    let letter = |c: char| match c {
        '<' | '>' | '&' | '\'' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    inner.chars().map(letter).collect()
}
