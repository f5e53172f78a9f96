//! What lengths mean, against rules written down once more.

use crate::{
    fields::Fields,
    http1::framing::{Framing, of_answer, of_request},
};

/// Lines `name:value`, after a byte of settings.
pub fn framing(data: &[u8]) {
    let [settings, lines @ ..] = data else {
        return;
    };
    let (is_http11, to_head) = (settings & 1 == 0, settings & 2 != 0);
    let status = [100, 101, 200, 204, 206, 304, 404, 500][usize::from(settings >> 2 & 7)];
    let mut fields = Fields::default();
    let (mut lengths, mut codings, mut lookalike) = (Vec::new(), Vec::new(), false);
    for line in lines.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        // As the parser of heads leaves them.
        let name = line[..colon].to_ascii_lowercase();
        let value = super::naive::trim(&line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| super::naive::is_token(*byte)) {
            continue;
        }
        fields.push(&name, value);
        match super::heads::dashed(&name).as_str() {
            "content-length" if name == b"content-length" => lengths.push(value),
            "transfer-encoding" if name == b"transfer-encoding" => codings.push(value),
            "content-length" | "transfer-encoding" | "host" => lookalike |= name.contains(&b'_'),
            _ => {}
        }
    }

    let length = match lengths[..] {
        [] => Some(None),
        [one] => number(one).map(Some),
        _ => None,
    };
    let chunked = match codings[..] {
        [] => Some(false),
        [one] => one.eq_ignore_ascii_case(b"chunked").then_some(true),
        _ => None,
    };
    let request = match (length, chunked) {
        _ if lookalike => None,
        (Some(None | Some(0)), Some(false)) => Some(Framing::None),
        (Some(Some(length)), Some(false)) => Some(Framing::Length(length)),
        (Some(None), Some(true)) if is_http11 => Some(Framing::Chunked),
        _ => None,
    };
    assert_eq!(of_request(&fields, is_http11).ok(), request);

    let has_none = to_head || matches!(status, 100..200 | 204 | 304);
    let answer = match (length, chunked) {
        (None, _) | (_, None) => None,
        (_, Some(true)) if !is_http11 => None,
        (Some(length), Some(is_chunked)) => Some((
            match (is_chunked, length) {
                _ if has_none => Framing::None,
                (true, _) => Framing::Chunked,
                (false, None) => Framing::UntilClose,
                (false, Some(0)) => Framing::None,
                (false, Some(length)) => Framing::Length(length),
            },
            is_chunked && length.is_some(),
        )),
    };
    assert_eq!(of_answer(&fields, is_http11, status, to_head).ok(), answer);
}

fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
