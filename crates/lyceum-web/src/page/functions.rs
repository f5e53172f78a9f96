//! What templates can call: `t`, `has_text`, `time`, `span`, `duration`, `size`, `server_title`, `static_url`; the filters `number`,
//! `scope_words`; and what they know of their language: `lang`, `dir`.

use std::cell::RefCell;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use minijinja::value::{Kwargs, Value};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, HtmlEscape, Output, State, escape_formatter,
};

use super::assets::asset_path;
use lyceum_model::messages::fill;
use lyceum_model::saying;

use super::messages::{Lang, Messages};

thread_local! {
    /// In which zone times are told in the page that this thread renders. Macros see nothing of a
    /// page's context, and rendering never leaves its thread.
    static ZONE: RefCell<TimeZone> = const { RefCell::new(TimeZone::UTC) };
}

/// Renders with times in this zone.
pub(super) fn in_zone<T>(zone: &TimeZone, render: impl FnOnce() -> T) -> T {
    let before = ZONE.replace(zone.clone());
    let rendered = render();
    ZONE.set(before);
    rendered
}

/// Gives an environment its functions, bound to one language.
pub(super) fn register(
    environment: &mut Environment<'static>,
    lang: &Lang,
    messages: &Arc<Messages>,
) {
    let words = Words {
        lang: lang.clone(),
        messages: Arc::clone(messages),
    };
    environment.set_formatter(write_value);
    environment.add_global("lang", lang.as_str().to_owned());
    environment.add_global("dir", lang.direction());
    environment.add_function("static_url", static_url);
    let own = words.clone();
    environment.add_filter("number", move |number: i64| own.lang.number(number));

    let own = words.clone();
    environment.add_function("t", move |key: &str, values: Kwargs| own.text(key, &values));
    let own = words.clone();
    environment.add_function("has_text", move |key: &str| {
        own.messages.find(&own.lang, key).is_some()
    });
    let own = words.clone();
    environment.add_function("time", move |at: i64, style: Option<&str>| {
        Value::from_safe_string(own.time(at, style.unwrap_or("full")))
    });
    let own = words.clone();
    environment.add_function("span", move |from: i64, until: i64| own.span(from, until));
    let own = words.clone();
    environment.add_function("duration", move |seconds: i64| own.duration(seconds));
    let own = words.clone();
    environment.add_function("size", move |bytes: i64| own.size(bytes));
    let own = words.clone();
    environment.add_function("server_title", move |server: Value| {
        own.server_title(&server)
    });
    environment.add_filter(
        "scope_words",
        move |scope: &str, own: Option<Value>, reader: Option<&str>| {
            words.scope(scope, own.as_ref(), reader == Some("other"))
        },
    );
}

/// Escapes what HTML needs escaped and no more: the engine's own way also turns `/` into an
/// entity, and programs that look for a link in a page would miss it.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() && *state.auto_escape() == AutoEscape::Html => {
            for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
                let (plain, special) = match part.char_indices().next_back() {
                    Some((at, '&')) => (&part[..at], "&amp;"),
                    Some((at, '<')) => (&part[..at], "&lt;"),
                    Some((at, '>')) => (&part[..at], "&gt;"),
                    Some((at, '"')) => (&part[..at], "&quot;"),
                    Some((at, '\'')) => (&part[..at], "&#39;"),
                    _ => (part, ""),
                };
                out.write_str(plain)?;
                out.write_str(special)?;
            }
            Ok(())
        }
        _ => escape_formatter(out, state, value),
    }
}

#[derive(Clone)]
struct Words {
    lang: Lang,
    messages: Arc<Messages>,
}

impl Words {
    /// `t("key", n=3)`. A key without text shows itself: a wrong word is better than no page.
    fn text(&self, key: &str, values: &Kwargs) -> Result<String, Error> {
        let mut filled = Vec::new();
        let mut n = None;
        for name in values.args() {
            let value: Value = values.get(name)?;
            let text = match i64::try_from(value.clone()) {
                Ok(number) if value.is_number() => {
                    if name == "n" {
                        n = Some(number);
                    }
                    self.lang.number(number)
                }
                _ => value.to_string(),
            };
            filled.push((name.to_owned(), text));
        }
        values.assert_all_used()?;
        let text = self.messages.find_for(&self.lang, key, n).unwrap_or(key);
        Ok(fill(text, &filled))
    }

    /// What a server is called. Not markup, as a macro's text would be: it stands in other texts, which
    /// are escaped as a whole.
    fn server_title(&self, server: &Value) -> String {
        // A site's templates are tried out without one.
        let said = |field: &str| server.get_attr(field).unwrap_or_default();
        let said = [said("title"), said("server")];
        let title = said.into_iter().find(Value::is_true);
        title.map_or_else(
            || self.plain("server.default", &[]),
            |title| title.to_string(),
        )
    }

    fn plain(&self, key: &str, values: &[(&str, String)]) -> String {
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let text = self.messages.find(&self.lang, key).unwrap_or_default();
        fill(text, &values)
    }

    /// One word of a list in the message file.
    fn nth(&self, key: &str, at: i8) -> String {
        let list = self.messages.find(&self.lang, key).unwrap_or_default();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        list.split(' ').nth(at).unwrap_or_default().to_owned()
    }

    /// A `<time>` element: in the site's zone as written here, the reader's own once the script ran.
    /// `full` has day and clock, `clock` hours to seconds. `site` is no such element but words alone, day
    /// and clock in the site's zone, which stays so in every browser; the page says once which zone it is.
    fn time(&self, at: i64, style: &str) -> String {
        let Ok(stamp) = Timestamp::from_millisecond(at) else {
            return self.plain("time.unknown", &[]);
        };
        let zone = ZONE.with_borrow(Clone::clone);
        let moment = stamp.to_zoned(zone);
        let words = match style {
            "clock" => moment.strftime("%H:%M:%S").to_string(),
            "site" => {
                let words = self.plain("time.site", &self.parts(&moment));
                return HtmlEscape(&words).to_string();
            }
            _ => self.plain("time.full", &self.parts(&moment)),
        };
        let style = if style == "clock" { "clock" } else { "full" };
        // A site's words can be in it.
        let words = HtmlEscape(&words);
        format!(
            "<time datetime=\"{iso}\" title=\"{exact}\" data-style=\"{style}\">{words}</time>",
            iso = stamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
            exact = moment.strftime("%Y-%m-%d %H:%M:%S %Z"),
        )
    }

    /// From one moment to another, in the site's zone whatever the reader's is: for what is printed.
    fn span(&self, from: i64, until: i64) -> String {
        let zone = ZONE.with_borrow(Clone::clone);
        let at = |at| Timestamp::from_millisecond(at).map(|at| at.to_zoned(zone.clone()));
        let (Ok(from), Ok(until)) = (at(from), at(until)) else {
            return self.plain("time.unknown", &[]);
        };
        let name = |at: &Zoned| at.strftime("%Z").to_string();
        let is_same_day = from.date() == until.date();
        if is_same_day && name(&from) == name(&until) {
            let mut parts = self.parts(&from);
            parts.push(("until", until.strftime("%H:%M").to_string()));
            return self.plain("time.span", &parts);
        }
        // Which clock is meant where it is put forward or back between the two is said of both.
        let first = if name(&from) == name(&until) {
            "time.site"
        } else {
            "time.full"
        };
        let from = self.plain(first, &self.parts(&from));
        format!("{from} – {}", self.plain("time.full", &self.parts(&until)))
    }

    fn parts(&self, moment: &Zoned) -> Vec<(&'static str, String)> {
        let weekday = moment.date().weekday().to_monday_zero_offset();
        vec![
            ("zone", moment.strftime("%Z").to_string()),
            ("weekday", self.nth("time.weekdays", weekday)),
            ("day", moment.day().to_string()),
            ("month", self.nth("time.months", moment.month() - 1)),
            ("year", moment.year().to_string()),
            ("clock", moment.strftime("%H:%M").to_string()),
        ]
    }

    /// `40 s`, `2 min 5 s`, `3 h 20 min`, `12 d`: units are the same in all our languages.
    fn duration(&self, seconds: i64) -> String {
        let seconds = seconds.max(0);
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (seconds, seconds % 60, minutes % 60) {
            (0..60, ..) => format!("{seconds} s"),
            (60..3600, 0, _) => format!("{minutes} min"),
            (60..3600, rest, _) => format!("{minutes} min {rest} s"),
            (3600..172_800, _, 0) => format!("{hours} h"),
            (3600..172_800, _, rest) => format!("{hours} h {rest} min"),
            _ => format!("{} d", self.lang.number(days)),
        }
    }

    /// `1.2 MB`, as sayings have it: never more than it is.
    fn size(&self, bytes: i64) -> String {
        saying::file_size(u64::try_from(bytes).unwrap_or_default()).in_lang(&self.lang)
    }

    /// What a scope lets a program do, in words; a scope without words shows itself.
    /// `own` has words by the names of scopes that a site defines itself; `other`: whoever reads it is not
    /// the one whose program it is.
    fn scope(&self, scope: &str, own: Option<&Value>, other: bool) -> String {
        let (name, filter) = match scope.split_once('!') {
            Some((name, filter)) => (name, Some(filter)),
            None => (scope, None),
        };
        let own = own.and_then(|own| own.get_item(&name.into()).ok());
        let find = |key: String| self.messages.find(&self.lang, &key);
        let of_other = other.then(|| find(format!("scope-other.{name}"))).flatten();
        let known = of_other.or_else(|| find(format!("scope.{name}")));
        let Some(words) = known.or_else(|| own.as_ref().and_then(Value::as_str)) else {
            return scope.to_owned();
        };
        let Some(filter) = filter else {
            return words.to_owned();
        };
        let (kind, whom) = filter.split_once('=').unwrap_or((filter, ""));
        let (key, owner, name) = match (kind, whom) {
            ("user", "") if other => ("scope-of.other", "", ""),
            ("user", "") => ("scope-of.self", "", ""),
            ("user", _) => ("scope-of.user", "", whom),
            ("group", _) => ("scope-of.group", "", whom),
            ("server", _) => match whom.split_once('/').unwrap_or((whom, "")) {
                (owner, "") => ("scope-of.server", owner, ""),
                (owner, name) => ("scope-of.named", owner, name),
            },
            ("service", _) => ("scope-of.service", "", whom),
            _ => return scope.to_owned(),
        };
        let values = [("owner", owner.to_owned()), ("name", name.to_owned())];
        format!("{words} ({})", self.plain(key, &values))
    }
}

/// `static_url("lyceum.css")`: below the hub's base, with the hash of the content.
fn static_url(state: &State, name: &str) -> Result<String, Error> {
    let base = state
        .lookup("page")
        .and_then(|page| page.get_attr("base").ok())
        .and_then(|base| base.as_str().map(str::to_owned))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedError,
                "static_url needs page.base in the context",
            )
        })?;
    let path = asset_path(name).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no asset {name}"),
        )
    })?;
    Ok(format!("{base}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lang: Lang) -> Words {
        Words {
            lang,
            messages: Arc::new(
                Messages::read(super::super::messages::OWN_MESSAGES)
                    .expect("our own files are good"),
            ),
        }
    }

    #[test]
    fn text_is_escaped_and_links_stay_readable() {
        let mut environment = Environment::new();
        environment.set_formatter(write_value);
        environment
            .add_template("x.html", "{{ text }} {{ text|safe }} {{ 1 }}")
            .expect("a good template");
        let text = "/a?b&c=é<\"'>";
        let html = environment
            .get_template("x.html")
            .and_then(|template| template.render(minijinja::context! { text }))
            .expect("rendered");
        assert_eq!(html, format!("/a?b&amp;c=é&lt;&quot;&#39;&gt; {text} 1"));
    }

    #[test]
    fn times_in_words() {
        let at = 1_795_000_000_123;
        assert_eq!(
            words(Lang::En).time(at, "full"),
            "<time datetime=\"2026-11-18T11:06:40Z\" title=\"2026-11-18 11:06:40 UTC\" \
             data-style=\"full\">Wed 18 Nov 2026, 11:06 UTC</time>"
        );
        assert!(
            words(Lang::De)
                .time(at, "full")
                .ends_with(">Mi. 18. Nov. 2026, 11:06 Uhr UTC</time>")
        );
        assert!(
            words(Lang::De)
                .time(at, "clock")
                .ends_with(">11:06:40</time>")
        );
        assert_eq!(words(Lang::En).time(i64::MAX, "full"), "unknown");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let told = in_zone(&berlin, || words(Lang::De).time(at, "full"));
        assert_eq!(
            told,
            "<time datetime=\"2026-11-18T11:06:40Z\" title=\"2026-11-18 12:06:40 CET\" \
             data-style=\"full\">Mi. 18. Nov. 2026, 12:06 Uhr CET</time>"
        );
        assert!(words(Lang::En).time(at, "full").ends_with(" UTC</time>"));
    }

    #[test]
    fn times_of_the_site_stay_as_they_are_in_every_browser() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let at = 1_795_000_000_123;
        let hour = 3_600_000;
        let span = |lang, from, until| in_zone(&berlin, || words(lang).span(from, until));
        let check = |lang, until, expect: &str| assert_eq!(span(lang, at, until), expect);
        check(
            Lang::En,
            at + 2 * hour,
            "Wed 18 Nov 2026, 12:06 – 14:06 CET",
        );
        check(
            Lang::De,
            at + 2 * hour,
            "Mi. 18. Nov. 2026, 12:06 – 14:06 Uhr CET",
        );
        check(
            Lang::En,
            at + 24 * hour,
            "Wed 18 Nov 2026, 12:06 – Thu 19 Nov 2026, 12:06 CET",
        );
        // The clocks go back between the two: 25 October 2026, from 2:30 to 2:30.
        let before = 1_792_888_200_000;
        assert_eq!(
            span(Lang::En, before, before + hour),
            "Sun 25 Oct 2026, 02:30 CEST – Sun 25 Oct 2026, 02:30 CET"
        );
        assert_eq!(span(Lang::En, at, i64::MAX), "unknown");
        // No element that a script would put into the reader's zone.
        let told = in_zone(&berlin, || words(Lang::De).time(at, "site"));
        assert_eq!(told, "Mi. 18. Nov. 2026, 12:06 Uhr");
    }

    #[test]
    fn durations_in_words() {
        let check = |seconds: i64, expect: &str| {
            assert_eq!(words(Lang::En).duration(seconds), expect);
        };
        check(-5, "0 s");
        check(59, "59 s");
        check(125, "2 min 5 s");
        check(1_800, "30 min");
        check(3_659, "1 h");
        check(86_400, "24 h");
        check(12_000, "3 h 20 min");
        check(12 * 86_400, "12 d");
    }

    #[test]
    fn sizes_are_told_as_sayings_tell_them() {
        let check = |bytes: i64, en: &str, de: &str| {
            assert_eq!(words(Lang::En).size(bytes), en);
            assert_eq!(words(Lang::De).size(bytes), de);
        };
        check(-1, "0 B", "0 B");
        check(999, "999 B", "999 B");
        check(1024, "1 kB", "1 kB");
        // Rounded down: a limit is never told as more than it is.
        check(1_999_999, "1.9 MB", "1,9 MB");
        check(20_000_000, "20 MB", "20 MB");
    }

    #[test]
    fn scopes_in_words() {
        let check = |scope: &str, expect: &str| {
            let own = [("custom:grades:read", "Read grades")];
            let own = Value::from(std::collections::BTreeMap::from(own));
            assert_eq!(words(Lang::En).scope(scope, Some(&own), false), expect);
        };
        check(
            "custom:grades:read!group=bio",
            "Read grades (of the group bio)",
        );
        check("custom:grades:write", "custom:grades:write");
        check("access:servers!user=ada", "Open notebook servers (of ada)");
        check(
            "access:servers!server=ada/gpu",
            "Open notebook servers (the server gpu of ada)",
        );
        check(
            "access:servers!server=ada/",
            "Open notebook servers (the server of ada)",
        );
        check("read:users:name!user", "Read user names (your own)");
        check("made:up", "made:up");
        check("made:up!user=x", "made:up!user=x");
        check("users!odd=x", "users!odd=x");
    }

    #[test]
    fn scopes_of_somebody_else_are_not_told_as_the_readers() {
        for lang in [Lang::En, Lang::De] {
            for scope in ["self", "inherit", "read:users:name!user"] {
                let told = |other| words(lang.clone()).scope(scope, None, other);
                assert_ne!(told(true), told(false), "{scope}");
                for reader in ["you", "Sie", "Ihr"] {
                    assert!(!told(true).contains(reader), "{}", told(true));
                }
            }
            let same = |other| words(lang.clone()).scope("read:hub", None, other);
            assert_eq!(same(true), same(false));
        }
    }
}
