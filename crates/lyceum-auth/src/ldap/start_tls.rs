//! The way from a plain connection to TLS (RFC 4511, 4.14).
//!
//! Until TLS stands, anybody on the way may be the one who answers. So there is one question, and of the
//! answer a few bytes are read, flatly: nothing that a stranger sends is followed into its depth, or kept
//! for long.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{code, told};

/// Message 1 is an extended request with the name of StartTLS.
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The longest answer; one that says yes has some twenty bytes.
const ANSWER_MAX: usize = 4 * 1024;

const MESSAGE: u8 = 0x30;
const NUMBER: u8 = 0x02;
const EXTENDED_RESPONSE: u8 = 0x78;
const RESULT_CODE: u8 = 0x0a;
const TEXT: u8 = 0x04;

/// Asks whether TLS may begin; from then on nothing but TLS may be said over it.
pub(super) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> anyhow::Result<()> {
    stream.write_all(REQUEST).await.context("asking for TLS")?;
    let mut said = Vec::with_capacity(ANSWER_MAX);
    loop {
        let room = ANSWER_MAX.saturating_sub(said.len()) as u64;
        let read = (&mut *stream).take(room).read_buf(&mut said).await;
        let read = read.context("reading the answer to StartTLS")?;
        ensure!(
            read > 0,
            "it ended the connection instead of going over to TLS"
        );
        if says_yes(&said)? {
            return Ok(());
        }
    }
}

/// `false`: there is more to come.
fn says_yes(said: &[u8]) -> anyhow::Result<bool> {
    let Some(message) = outermost(said)? else {
        return Ok(false);
    };
    let no_answer = || "what it says is no answer to StartTLS";
    let (id, operation) = element(NUMBER, message).with_context(no_answer)?;
    ensure!(id == [1], no_answer());
    let (result, behind) = element(EXTENDED_RESPONSE, operation).with_context(no_answer)?;
    ensure!(behind.is_empty(), no_answer());
    let (number, words) = element(RESULT_CODE, result).with_context(no_answer)?;
    ensure!((1..=4).contains(&number.len()), no_answer());
    let number = number.iter().fold(0, |code, b| code << 8 | u32::from(*b));
    if number != code::SUCCESS {
        // Behind the name of an entry that nobody asked for.
        let words = element(TEXT, words).and_then(|(_, behind)| element(TEXT, behind));
        let words = words.map_or("".into(), |(words, _)| String::from_utf8_lossy(words));
        bail!("StartTLS was answered {}", told(number, &words));
    }
    Ok(true)
}

/// What is in the one message, once all of it is there.
fn outermost(said: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let Some(&tag) = said.first() else {
        return Ok(None);
    };
    ensure!(tag == MESSAGE, "what it says is no LDAP");
    let Some((length, behind)) = length(&said[1..])? else {
        return Ok(None);
    };
    let all = (said.len() - behind.len()).saturating_add(length);
    ensure!(
        all <= ANSWER_MAX,
        "its answer to StartTLS is longer than {ANSWER_MAX} bytes"
    );
    ensure!(
        said.len() <= all,
        "it says more than its answer to StartTLS"
    );
    Ok((behind.len() == length).then_some(behind))
}

/// The content of the element with which this begins, and what stands behind it.
fn element(tag: u8, said: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = said.split_first()?;
    let (length, rest) = length(rest).ok().flatten()?;
    (*first == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// A length, and what stands behind it. `None`: not all of it is there.
fn length(said: &[u8]) -> anyhow::Result<Option<(usize, &[u8])>> {
    let Some((&first, rest)) = said.split_first() else {
        return Ok(None);
    };
    if first < 0x80 {
        return Ok(Some((first.into(), rest)));
    }
    let bytes = usize::from(first - 0x80);
    // Some servers write each length in four.
    ensure!(
        (1..=4).contains(&bytes),
        "it writes a length as LDAP has none"
    );
    let Some((bytes, rest)) = rest.split_at_checked(bytes) else {
        return Ok(None);
    };
    let length = bytes
        .iter()
        .fold(0u32, |length, b| length << 8 | u32::from(*b));
    Ok(Some((length as usize, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_answer_means_yes() {
        let check = |said: &[u8], expect: Result<bool, &str>| match (says_yes(said), expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got, expect, "{said:x?}"),
            (Err(problem), Err(expect)) => {
                let problem = format!("{problem:#}");
                assert!(problem.contains(expect), "{said:x?}: {problem}");
            }
            (got, _) => panic!("{said:x?}: {got:?}"),
        };
        let short = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        let long = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00";
        let named = b"\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037";
        for yes in [&short[..], long, named] {
            check(yes, Ok(true));
            for part in 0..yes.len() {
                check(&yes[..part], Ok(false));
            }
            check(&[yes, b"\x15"].concat(), Err("more than its answer"));
            check(&[yes, yes].concat(), Err("more than its answer"));
        }
        let no_answer = "no answer to StartTLS";
        // Another message, one of the server's own accord, another operation, something behind.
        check(
            b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            Err(no_answer),
        );
        check(
            b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            Err(no_answer),
        );
        check(
            b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
            Err(no_answer),
        );
        check(
            b"\x30\x0e\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x00",
            Err(no_answer),
        );
        check(b"\x30\x05\x02\x01\x01\x78\x00", Err(no_answer));
        check(b"\x30\x07\x02\x01\x01\x78\x02\x0a\x00", Err(no_answer));
        check(
            b"\x30\x0c\x02\x01\x01\x78\x09\x0a\x01\x00\x04\x00\x04\x00",
            Err(no_answer),
        );
        check(b"\x30\x00", Err(no_answer));
        check(b"\x30\x04\x30\x02\x30\x00", Err(no_answer));
        check(b"HTTP/1.1 400", Err("no LDAP"));
        check(b"\x30\x80", Err("as LDAP has none"));
        check(b"\x30\x85\x00\x00", Err("as LDAP has none"));
        check(b"\x30\x84\xff\xff\xff\xff", Err("longer than 4096"));
        check(b"\x30\x82\x0f\xfd", Err("longer than 4096"));
        check(b"\x30\x82\x0f\xfc", Ok(false));
        let refused = b"\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x34\x04\x00\x04\x02a\n";
        check(refused, Err("with code 52 (a\\n)"));
        check(
            b"\x30\x08\x02\x01\x01\x78\x03\x0a\x01\x02",
            Err("with code 2"),
        );
    }
}
