//! A bounded number of cases for each target: noise, and messages made of pieces that matter.

use proptest::{collection::vec, prelude::*};

/// Joins pieces, some from `words` and some noise.
fn made_of(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let piece = prop_oneof![12 => word, 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

const LINES: &[&str] = &[
    "Host: lab\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:\t3 \r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Content_Length: 5\r\n",
    "Connection: keep-alive, x-a, te, upgrade\r\n",
    "Connection: close\r\n",
    "Upgrade: websocket\r\n",
    "TE: trailers\r\n",
    "Expect: 100-continue\r\n",
    "Cookie: a=1; hidden-cookie=2;__Host-hidden-cookie=3\r\n",
    "Set-Cookie: hidden-cookie=2; Path=/\r\n",
    "Location: http://ada.lab:8888/x\r\n",
    "Clear-Site-Data: \"*\"\r\n",
    "X-A: \x20v\t\r\n",
    "X-Forwarded-For: 203.0.113.1\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X_Forwarded_For: 203.0.113.1\r\n",
    "X-Lyceum-Proxy: between-hub-and-proxy\r\n",
    "Forwarded: for=x\r\n",
    "X-Empty:\r\n",
    "\r\n",
    " folded\r\n",
    "Name : value\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 7\r\n\r\n",
];

fn message(first: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let settings = any::<u8>().prop_map(|byte| vec![byte]);
    let first = proptest::sample::select(first).prop_map(|line| line.as_bytes().to_vec());
    (settings, first, made_of(LINES, 8), made_of(LINES, 5)).prop_map(
        |(settings, first, lines, body)| [settings, first, lines, b"\r\n".to_vec(), body].concat(),
    )
}

proptest! {
    #[test]
    fn paths_have_one_meaning(path in made_of(
        &["/", "/user/ada/", ".", "..", "%2e", "%2F", "%", "%5c", "%00", "\\", "%25", "a", "?"], 12,
    )) {
        super::uri(&path);
    }

    #[test]
    fn a_request_stays_one_request(bytes in message(&[
        "GET /user/ada/lab?x HTTP/1.1\r\nHost: lab\r\n",
        "POST /user/%61da HTTP/1.1\r\nHost: lab:80\r\nContent-Length: 5\r\n",
        "PUT /hub//x HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n",
        "GET http://lab/user/ada//x HTTP/1.1\r\nHost: LAB\r\n",
        "HEAD / HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
    ])) {
        super::request_head(&bytes);
    }

    #[test]
    fn an_answer_ends_where_it_ended(bytes in message(&[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.0 200\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
        "HTTP/1.1 302 Found\r\n",
    ])) {
        super::response_head(&bytes);
    }

    #[test]
    fn chunks_are_the_same_in_any_pieces(sizes: [u8; 4], body in made_of(
        &["5\r\nhello\r\n", "1;a=\"b\"\r\nx\r\n", "0\r\n\r\n", "0\r\n", "A: 1\r\n", "Host: a\r\n",
          "\r\n", "0", "00f\r\n", "\n", "\r", ";", "123456789012345\r\n"], 10,
    )) {
        super::chunked(&[&sizes[..], &body].concat());
    }

    #[test]
    fn lengths_mean_one_thing(settings: u8, lines in made_of(
        &["content-length:", "Transfer-Encoding:", "content_length:", "host:", "chunked", "gzip",
          ", ", "5", "0", "18446744073709551616", "9223372036854775808", "+", "\n", "\t", "x:"], 10,
    )) {
        super::framing(&[&[settings], &lines[..]].concat());
    }

    #[test]
    fn the_longest_prefix_is_found(lines in made_of(
        &["+/user/ada/\n", "+/user/\n", "+/\n", "+/lab/\n", "-/user/ada/\n", "/user/%61da/x\n",
          "/user", "/", "\n", "%2f", "%61", "+/a//b/\n", "+/a/../\n", "x", "/user/ada/y\n",
          "//user/ada/\n", "@LAB:80/user/x\n", "@user/ada/"], 16,
    )) {
        super::routes(&lines);
    }

    #[test]
    fn a_proxy_header_says_one_thing(bytes in made_of(
        &["PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "192.0.2.7 ", "2001:db8::7 ", "5000 ", "443",
          "05", " ", "\r\n", "\n", "\r\n\r\n\0\r\nQUIT\n", "!\x11\0\x0c", " \0\0\0", "!\0\0\x01",
          "\u{1}\u{2}\u{3}\u{4}\u{1}\u{2}\u{3}\u{4}\u{1}\u{2}\u{3}\u{4}", " \0\u{1}\u{1}"], 10,
    )) {
        super::proxy_protocol(&bytes);
    }

    #[test]
    fn whatever_frames_come_the_server_gets_one_request(bytes in made_of(
        &["\0", "\x04\0\0\0", "\x04\x01\0\0", "\x01\x05\x01\x17", "\x01\x05\x03\x08", "\x01\x04\x05\x0b",
          "\x00\x01\x05\x03abc", "\x03\0\x01\x04\0\0\0\x08", "\x06\0\0\x0812345678",
          "\x08\0\0\x04\0\0\0\x01", "\x07\0\0\x08\0\0\0\0\0\0\0\0", "\x00\x02te\x08trailers",
          "\x41\x03lab", "\x44\x0d/user/ada/lab", "\x44\x0b/user/bob/x", "\x04\x04path"], 14,
    )) {
        super::http2(&[&[0], &bytes[..]].concat());
    }
}

/// Some bytes of HTTP/2 are no text.
#[test]
fn frames_of_two_requests_and_a_reset() {
    let head = b"\x82\x86\x41\x03lab\x44\x0d/user/ada/lab";
    let mut bytes = b"\0\x04\0\0\0".to_vec();
    for stream in [1, 3] {
        bytes.extend([1, 5, stream, head.len() as u8]);
        bytes.extend(head);
    }
    bytes.extend(b"\x03\0\x03\x04\0\0\0\x08");
    super::http2(&bytes);
}
