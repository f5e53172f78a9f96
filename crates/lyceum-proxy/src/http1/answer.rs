//! The head of an answer becomes an [`Answer`] (RFC 9112, sections 4 and 5).

use std::mem::MaybeUninit;

use crate::fields::{Fields, Known, Span};

use super::{
    Refused,
    framing::{self, Framing},
    request::{MOST_HEADERS, refused},
};

#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) fields: Fields,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// The connection may be used again when the body has been read.
    pub(crate) keep_alive: bool,
    reason: Span,
}

impl Answer {
    pub(crate) fn reason(&self) -> &[u8] {
        self.fields.at(self.reason)
    }
}

/// Reads a whole head into `answer`. `to_head`: the request's method was HEAD.
pub(crate) fn parse(bytes: &[u8], to_head: bool, answer: &mut Answer) -> Result<(), Refused> {
    answer.fields.clear();
    answer.fields.text.extend_from_slice(bytes);
    let text = std::mem::take(&mut answer.fields.text);
    let read = read_lines(&text, answer);
    answer.fields.text = text;
    let is_http11 = read?;
    answer.fields.know();

    let (mut close, mut keep, mut any) = (false, false, false);
    for token in answer.fields.tokens(Known::Connection) {
        any = true;
        close |= token.eq_ignore_ascii_case(b"close");
        keep |= token.eq_ignore_ascii_case(b"keep-alive");
    }
    if any {
        answer
            .fields
            .mark_named()
            .ok_or(Refused::Bad("its connection header names too much"))?;
    }
    let (framing, twice) = framing::of_answer(&answer.fields, is_http11, answer.status, to_head)?;
    answer.framing = framing;
    answer.keep_alive = !close && !twice && (is_http11 || keep) && framing != Framing::UntilClose;
    Ok(())
}

fn read_lines(text: &[u8], answer: &mut Answer) -> Result<bool, Refused> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, text, &mut room)
        .map_err(refused)?;
    if status != httparse::Status::Complete(text.len()) {
        return Err(Refused::Bad("its headers end in two places"));
    }
    let base = text.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        Span::new(start, start + part.len())
    };
    let (Some(code), Some(version)) = (response.code, response.version) else {
        return Err(Refused::Bad("its first line is not one of HTTP"));
    };
    if text.first().is_none_or(u8::is_ascii_whitespace) || code < 100 {
        return Err(Refused::Bad("its first line is not one of HTTP"));
    }
    answer.status = code;
    // The parser gives an empty constant where there is no reason or one that is not ASCII.
    answer.reason = match response.reason {
        Some(reason) if !reason.is_empty() => span(reason.as_bytes()),
        _ => Span::default(),
    };
    for header in response.headers.iter() {
        answer
            .fields
            .enter(span(header.name.as_bytes()), span(header.value));
    }
    Ok(version == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_indexed() {
        let mut answer = Answer::default();
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nSet-Cookie: a=1\r\n\r\n";
        parse(text, false, &mut answer).expect("valid");
        assert_eq!((answer.status, answer.reason()), (404, &b"Not Found"[..]));
        assert_eq!(
            (answer.framing, answer.keep_alive),
            (Framing::Length(3), true)
        );
        parse(b"HTTP/1.0 200\r\n\r\n", false, &mut answer).expect("valid");
        assert_eq!(
            (answer.framing, answer.keep_alive),
            (Framing::UntilClose, false)
        );
        assert_eq!(answer.reason(), b"");
    }

    #[test]
    fn answers_with_two_meanings_are_refused() {
        for wrong in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n",
            "HTTP/1.1 020 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        ] {
            let mut answer = Answer::default();
            assert!(
                parse(wrong.as_bytes(), false, &mut answer).is_err(),
                "{wrong:?}"
            );
        }
    }
}
