//! How long a message's body is (RFC 9112, section 6).

use crate::fields::{Fields, Known};

use super::Refused;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// Answers only: until the server closes.
    UntilClose,
}

/// The length of a request's body.
pub(crate) fn of_request(fields: &Fields, is_http11: bool) -> Result<Framing, Refused> {
    if fields.has(Known::LookalikeLength) {
        return Err(Refused::Bad(
            "it says a length under a name that servers read in two ways",
        ));
    }
    let chunked = chunked(fields)?;
    let length = length(fields)?;
    match (chunked, length) {
        (true, _) if !is_http11 => Err(Refused::Bad("HTTP/1.0 has no chunks")),
        (true, Some(_)) => Err(Refused::Bad("it says both a length and chunks")),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(0) | None) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
    }
}

/// The length of an answer's body; the second value is whether it was said in two ways, so that
/// the connection it came on cannot be trusted with another request.
pub(crate) fn of_answer(
    fields: &Fields,
    is_http11: bool,
    status: u16,
    to_head: bool,
) -> Result<(Framing, bool), Refused> {
    let chunked = chunked(fields)?;
    let length = length(fields)?;
    if chunked && !is_http11 {
        return Err(Refused::Bad("HTTP/1.0 has no chunks"));
    }
    let twice = chunked && length.is_some();
    let framing = if to_head || status < 200 || status == 204 || status == 304 {
        Framing::None
    } else if chunked {
        Framing::Chunked
    } else {
        match length {
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    };
    Ok((framing, twice))
}

fn chunked(fields: &Fields) -> Result<bool, Refused> {
    let mut lines = fields.all(Known::TransferEncoding);
    let Some(value) = lines.next() else {
        return Ok(false);
    };
    if lines.next().is_some() {
        return Err(Refused::Bad("it says twice how its body is coded"));
    }
    // Only blanks and tabs are around a value, and the parser has taken them off.
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let last = value.rsplit(|byte| *byte == b',').next();
    if value.contains(&b',')
        && last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
        && memchr::memmem::find_iter(&value.to_ascii_lowercase(), b"chunked").count() == 1
    {
        return Err(Refused::Unknown("its body has a coding besides chunks"));
    }
    Err(Refused::Bad("the end of its body cannot be told"))
}

fn length(fields: &Fields) -> Result<Option<u64>, Refused> {
    let mut lines = fields.all(Known::ContentLength);
    let Some(value) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Refused::Bad("it says its length twice"));
    }
    parse_length(value)
        .map(Some)
        .ok_or(Refused::Bad("its length is not a number"))
}

/// Digits and nothing else.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn lengths_of_requests() {
        let check = |pairs: &[(&str, &str)], expect: Option<Framing>| {
            assert_eq!(of_request(&fields(pairs), true).ok(), expect, "{pairs:?}");
        };
        let (cl, te) = ("content-length", "transfer-encoding");
        check(&[], Some(Framing::None));
        check(&[(cl, "0")], Some(Framing::None));
        check(&[(cl, "17")], Some(Framing::Length(17)));
        check(&[(te, "chunked")], Some(Framing::Chunked));
        check(&[(te, "Chunked")], Some(Framing::Chunked));
        for wrong in [
            "",
            "+1",
            "-1",
            "1 ",
            "0x1",
            "1,1",
            "1 1",
            "99999999999999999999",
            "\u{661}",
        ] {
            check(&[(cl, wrong)], None);
        }
        for wrong in [
            "",
            "identity",
            "xchunked",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chunked, gzip",
            "gzip, chunked",
            "chunked;q=1",
            "\"chunked\"",
            "chunked\u{b}",
        ] {
            check(&[(te, wrong)], None);
        }
        check(&[(cl, "1"), (cl, "1")], None);
        check(&[(cl, "1"), (te, "chunked")], None);
        check(&[(te, "chunked"), (te, "chunked")], None);
        check(&[("content_length", "1")], None);
        assert!(of_request(&fields(&[(te, "chunked")]), false).is_err());
        assert_eq!(
            of_request(&fields(&[(te, "gzip, chunked")]), true),
            Err(Refused::Unknown("its body has a coding besides chunks"))
        );
    }

    #[test]
    fn lengths_of_answers() {
        let check = |pairs: &[(&str, &str)], status, to_head, expect| {
            let got = of_answer(&fields(pairs), true, status, to_head).ok();
            assert_eq!(got, expect, "{pairs:?} {status}");
        };
        let (cl, te) = ("content-length", "transfer-encoding");
        check(&[], 200, false, Some((Framing::UntilClose, false)));
        check(&[(cl, "5")], 200, true, Some((Framing::None, false)));
        check(&[(cl, "5")], 304, false, Some((Framing::None, false)));
        check(&[(cl, "5")], 204, false, Some((Framing::None, false)));
        check(&[(cl, "5")], 200, false, Some((Framing::Length(5), false)));
        check(
            &[(cl, "5"), (te, "chunked")],
            200,
            false,
            Some((Framing::Chunked, true)),
        );
        check(&[(cl, "5"), (cl, "5")], 200, false, None);
        check(&[(te, "gzip, chunked")], 200, false, None);
    }
}
