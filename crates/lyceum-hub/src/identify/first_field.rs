//! The form token of a form with files: it is the form's first field, so it is there before the
//! files, which go on to whoever takes them as they come.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use lyceum_web::cookie;
use tokio::time::{Instant, timeout_at};

/// Whoever sends a form sends its beginning at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// A boundary, a heading and a token are a few hundred bytes.
const LONGEST: usize = 4 * 1024;

/// The value of `_xsrf`, where that is the first field. What was read for it is put back.
pub(super) async fn of(request: &mut Request) -> Option<String> {
    within(PATIENCE, request).await
}

async fn within(patience: Duration, request: &mut Request) -> Option<String> {
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let mut pieces = body.into_data_stream();
    let (mut begun, mut after) = (BytesMut::new(), Vec::new());
    let until = Instant::now() + patience;
    while begun.len() < LONGEST && value(&begun).is_none() {
        // The rest of one who keeps us waiting is not waited for here.
        let Ok(piece) = timeout_at(until, pieces.next()).await else {
            break;
        };
        match piece {
            Some(Ok(piece)) => begun.extend_from_slice(&piece),
            Some(Err(error)) => {
                // Whoever reads on is told that it broke off.
                after.push(Err(error));
                break;
            }
            None => break,
        }
    }
    let begun = begun.freeze();
    let found = value(&begun);
    let again = stream::iter([Ok::<Bytes, axum::Error>(begun)].into_iter().chain(after));
    *request.body_mut() = Body::from_stream(again.chain(pieces));
    found
}

/// What the first part holds, once it is there whole.
fn value(begun: &[u8]) -> Option<String> {
    let begun = &begun[..begun.len().min(LONGEST)];
    // The content is letters; what follows may be anything.
    let text = String::from_utf8_lossy(begun);
    let (boundary, rest) = text.split_once("\r\n")?;
    let (heading, rest) = rest.split_once("\r\n\r\n")?;
    let (value, _) = rest.split_once(&format!("\r\n{boundary}"))?;
    let is_ours = |line: &str| {
        let (key, what) = line.split_once(':').unwrap_or_default();
        let name = format!("form-data; name=\"{}\"", cookie::XSRF);
        key.eq_ignore_ascii_case("content-disposition") && what.trim() == name
    };
    let fits = boundary.starts_with("--") && heading.split("\r\n").any(is_ours);
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn who_sends_nothing_is_not_waited_for() {
        let begun = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"--b\r\n"))]);
        let body = Body::from_stream(begun.chain(stream::pending()));
        let found = within(Duration::ZERO, &mut Request::new(body)).await;
        assert_eq!(found, None);
    }

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"_xsrf\"\r\n\r\ntoken\r\n--b\r\n\
        Content-Disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n";

    async fn check(form: &str, step: usize, expect: Option<&str>) {
        let pieces: Vec<Result<Bytes, axum::Error>> = form
            .as_bytes()
            .chunks(step)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(stream::iter(pieces));
        let mut request = Request::new(body);
        assert_eq!(
            of(&mut request).await.as_deref(),
            expect,
            "{form} by {step}"
        );
        let rest = to_bytes(request.into_body(), usize::MAX).await;
        assert_eq!(rest.expect("all of it"), form.as_bytes(), "by {step}");
    }

    #[tokio::test]
    async fn the_token_is_read_and_the_form_goes_on_whole() {
        for step in [1, 7, 64, 10_000] {
            check(FORM, step, Some("token")).await;
            check(&FORM.replace("_xsrf", "other"), step, None).await;
            check(
                &FORM.replace("; name", "; filename=\"x\"; name"),
                step,
                None,
            )
            .await;
            check("", step, None).await;
            check(&"x".repeat(10_000), step, None).await;
        }
        let far = format!("--b\r\nA: {}\r\n{}", "x".repeat(LONGEST), &FORM[5..]);
        check(&far, 100, None).await;
    }
}
