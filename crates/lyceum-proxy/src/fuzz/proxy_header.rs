//! The PROXY protocol: what a header says, said again by hand, is the same; nothing behind it is
//! taken, and nothing is known before it is whole.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
};

use crate::proxy_protocol::{Sender, Wrong, parse, read};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The beginning of a connection.
pub fn proxy_protocol(data: &[u8]) {
    let whole = parse(data);
    // The shorter input never knows more than the longer one, and never something else.
    let mut found = None;
    for end in (0..=data.len().min(600)).chain([data.len()]) {
        match (parse(&data[..end]), &found) {
            (Ok(None), None) => {}
            (other, None) => found = Some((end, other)),
            (other, Some((_, before))) => assert_eq!(other, *before, "it changed its mind"),
        }
    }
    assert_eq!(found.as_ref().map_or(&Ok(None), |(_, found)| found), &whole);
    check_read(data, &whole);
    let Ok(Some((taken, sender))) = whole else {
        return;
    };
    if data.len() <= 600 {
        assert_eq!(found.map(|(end, _)| end), Some(taken));
    }
    let header = &data[..taken];
    match header.starts_with(SIGNATURE) {
        true => check_v2(header, &sender),
        false => check_v1(header, &sender),
    }
}

/// From a connection exactly the header is taken.
fn check_read(data: &[u8], whole: &Result<Option<(usize, Sender)>, Wrong>) {
    let mut rest = data;
    let got = {
        let mut reading = pin!(read(&mut rest));
        match reading
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(got) => got.ok(),
            Poll::Pending => panic!("memory is always ready"),
        }
    };
    match whole {
        Ok(Some((taken, sender))) => {
            assert_eq!(
                (got.as_ref(), data.len() - rest.len()),
                (Some(sender), *taken)
            );
        }
        _ => assert_eq!(got, None),
    }
}

fn check_v1(header: &[u8], sender: &Sender) {
    assert!(header.len() <= 107 && !sender.is_https);
    let text = std::str::from_utf8(header).expect("text");
    let line = text.strip_suffix("\r\n").expect("a line");
    assert!(!line.contains('\n'));
    let words: Vec<&str> = line.split(' ').collect();
    let Some(source) = sender.source else {
        assert_eq!(words[..2], ["PROXY", "UNKNOWN"]);
        return;
    };
    let [_, family, from, to, port, other] = words[..] else {
        panic!("six words, not {words:?}");
    };
    assert_eq!(family, if source.is_ipv4() { "TCP4" } else { "TCP6" });
    assert_eq!(from.parse(), Ok(source.ip()));
    let to: IpAddr = to.parse().expect("an address");
    assert_eq!(to.is_ipv4(), source.is_ipv4());
    assert_eq!(port, source.port().to_string());
    assert!(
        other
            .parse::<u16>()
            .is_ok_and(|port| port.to_string() == other)
    );
    if source.is_ipv4() {
        assert_eq!(from, source.ip().to_string(), "one spelling only");
    }
}

fn check_v2(header: &[u8], sender: &Sender) {
    assert_eq!(header[12] >> 4, 2);
    let length = usize::from(header[14]) << 8 | usize::from(header[15]);
    assert_eq!(header.len(), 16 + length);
    let body = &header[16..];
    let (source, addresses) = match (header[12] & 15, header[13]) {
        (0, _) | (1, 0) => {
            assert_eq!(*sender, Sender::default());
            return;
        }
        (1, 0x11) => {
            let four: [u8; 4] = body[..4].try_into().expect("four");
            (Some((IpAddr::from(four), &body[8..10])), 12)
        }
        (1, 0x21) => {
            let sixteen: [u8; 16] = body[..16].try_into().expect("sixteen");
            (Some((IpAddr::from(sixteen), &body[32..34])), 36)
        }
        (1, 0x31) => (None, 216),
        other => panic!("{other:?} is for no server of HTTP"),
    };
    let source =
        source.map(|(ip, port)| SocketAddr::new(ip, u16::from(port[0]) << 8 | u16::from(port[1])));
    assert_eq!(sender.source, source);
    let mut at = addresses;
    let mut is_https = false;
    while at < body.len() {
        let length = usize::from(body[at + 1]) << 8 | usize::from(body[at + 2]);
        if body[at] == 0x20 {
            is_https = body[at + 3] & 1 == 1;
            assert!(length > 0);
        }
        at += 3 + length;
    }
    assert_eq!(at, body.len(), "whole TLVs only");
    assert_eq!(sender.is_https, is_https);
}
