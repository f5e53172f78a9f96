//! Whole lists as files for spreadsheets. They are read piece by piece, as fast as whoever fetches
//! them takes them, so a file of any length needs little room here.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lyceum_model::clock::Millis;
use lyceum_web::ApiResult;

/// Rows that are read at a time.
pub(super) const PIECE: i64 = 500;

/// A file of lines. `next` makes a piece of it and the state for the next one; nothing at the end.
/// Before each further piece `still` says whether whoever fetches it may go on.
pub(super) async fn answer<S, F, Next, Still, May>(
    name: &'static str,
    head: &[&str],
    still: Still,
    state: S,
    next: F,
) -> ApiResult<Response>
where
    S: Send + 'static,
    F: Fn(S) -> Next + Send + 'static,
    Next: Future<Output = ApiResult<Option<(String, S)>>> + Send,
    Still: Fn() -> May + Send + 'static,
    May: Future<Output = bool> + Send,
{
    let mut first = line(head.iter().map(|text| (*text).to_owned()));
    // What goes wrong with the first piece is still told.
    let begun = next(state).await?;
    let state = begun.map(|(piece, state)| {
        first.push_str(&piece);
        state
    });
    let rest = stream::unfold((state, next, still), async |(state, next, still)| {
        let state = state?;
        if !still().await {
            tracing::info!("whoever fetched a list may not any more");
            let why = "who fetches the list may not any more";
            return Some((Err(why), (None, next, still)));
        }
        match next(state).await {
            Ok(Some((piece, state))) => Some((Ok(piece), (Some(state), next, still))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(error = %error.message, "a list could not be read to its end");
                Some((
                    Err("the list could not be read to its end"),
                    (None, next, still),
                ))
            }
        }
    });
    let first = stream::once(async { Ok(first) });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    let disposition = format!("attachment; filename=\"{name}\"");
    let disposition =
        HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    Ok((
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        body,
    )
        .into_response())
}

/// One line of values.
pub(super) fn line(values: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = values.into_iter().map(|value| cell(&value)).collect();
    format!("{}\r\n", cells.join(","))
}

/// Quoted, so that nothing of it ends it; and with a mark before what a spreadsheet would take for a
/// formula. In some languages one separates by semicolons, whatever is quoted: there are none.
fn cell(text: &str) -> String {
    let formula = |c: char| "=+-@|＝＋－＠".contains(c);
    let begins = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let mark = match begins.starts_with(formula) || text.starts_with(char::is_control) {
        true => "'",
        false => "",
    };
    let text: String = text
        .chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

pub(super) fn moment(at: Option<i64>) -> String {
    at.map(|at| Millis(at).to_iso()).unwrap_or_default()
}

pub(super) fn flag(on: bool) -> String {
    String::from(if on { "yes" } else { "no" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_may_no_longer_gets_no_further_piece() {
        let pieces = async |may: usize| {
            let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let still = move || {
                let asked = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                async move { asked < may }
            };
            let next =
                |at: usize| async move { Ok((at < 4).then(|| (format!("{at}\r\n"), at + 1))) };
            let response = answer("x.csv", &["at"], still, 0, next).await;
            let body = response.expect("an answer").into_body();
            axum::body::to_bytes(body, 1000).await
        };
        let whole = pieces(10).await.expect("all of it");
        assert_eq!(&whole[..], b"\"at\"\r\n0\r\n1\r\n2\r\n3\r\n");
        assert!(pieces(2).await.is_err(), "broken off");
    }

    #[test]
    fn cells_are_quoted_and_no_formula() {
        let check = |text: &str, expect: &str| assert_eq!(cell(text), expect, "{text:?}");
        check("ada", "\"ada\"");
        check("", "\"\"");
        check("a;=1+2", "\"a,=1+2\"");
        check("a \"b\", c", "\"a \"\"b\"\", c\"");
        check("=1+1", "\"'=1+1\"");
        check("+49", "\"'+49\"");
        check("-2", "\"'-2\"");
        check("@sum", "\"'@sum\"");
        check("  =1", "\"'  =1\"");
        check("\t=1", "\"' =1\"");
        check("\r\n=1", "\"'  =1\"");
        check("\u{1}x", "\"' x\"");
        check("＝1", "\"'＝1\"");
        check("a=1", "\"a=1\"");
        check("a\nb", "\"a b\"");
        assert_eq!(line(["a".into(), "b".into()]), "\"a\",\"b\"\r\n");
    }
}
