//! The PROXY protocol, versions 1 and 2: a load balancer in front says whose connection it is
//! (haproxy's `proxy-protocol.txt`, sections 2.1 and 2.2).
//!
//! [`parse`] is pure: bytes in, who out. [`read`] takes exactly the header from the socket and not
//! a byte more. Who may speak it at all is decided in `listen.rs`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end (section 2.1).
const LONGEST_LINE: usize = 107;
/// The most that version 2 may bring after its first 16 bytes: addresses and TLVs. The
/// specification allows 65,535; nobody sends more than a few hundred.
const LONGEST_REST: usize = 4_096;
/// The TLV that tells of TLS between client and load balancer (section 2.2.6).
const PP2_TYPE_SSL: u8 = 0x20;
const PP2_CLIENT_SSL: u8 = 0x01;

/// What a header told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The client; none if the load balancer speaks for itself (health checks) or does not know.
    pub source: Option<SocketAddr>,
    /// Whether the client spoke TLS with the load balancer.
    pub is_https: bool,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    #[error("the PROXY header is longer than allowed")]
    TooLong,
    #[error("the PROXY header is not well formed")]
    Malformed,
}

/// How much of the input a header takes, and what it says; `Ok(None)` if more must come.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Sender)>, Wrong> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] == SIGNATURE[..known] {
        return parse_v2(bytes);
    }
    let known = bytes.len().min(6);
    if bytes[..known] == b"PROXY "[..known] {
        return parse_v1(bytes);
    }
    Err(Wrong::NoHeader)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, Sender)>, Wrong> {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() >= LONGEST_LINE {
            Err(Wrong::TooLong)
        } else {
            Ok(None)
        };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Wrong::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Wrong::Malformed)?;
    let mut words = line.split(' ');
    words.next();
    let sender = match words.next() {
        // What follows is to be ignored (section 2.1).
        Some("UNKNOWN") => Sender::default(),
        Some(family @ ("TCP4" | "TCP6")) => {
            let mut address = || -> Option<IpAddr> {
                let word = words.next()?;
                match family {
                    "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                    _ => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                }
            };
            let (source, _destination) = (address(), address());
            let (source_port, destination_port) = (port(words.next()), port(words.next()));
            match (
                source,
                _destination,
                source_port,
                destination_port,
                words.next(),
            ) {
                (Some(source), Some(_), Some(port), Some(_), None) => Sender {
                    source: Some(SocketAddr::new(source, port)),
                    is_https: false,
                },
                _ => return Err(Wrong::Malformed),
            }
        }
        _ => return Err(Wrong::Malformed),
    };
    Ok(Some((end + 1, sender)))
}

/// Digits only, without leading zeros.
fn port(word: Option<&str>) -> Option<u16> {
    let word = word?;
    let plain = word.bytes().all(|byte| byte.is_ascii_digit())
        && !(word.len() > 1 && word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, Sender)>, Wrong> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let (version, command) = (head[12] >> 4, head[12] & 0x0f);
    if version != 2 {
        return Err(Wrong::Malformed);
    }
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > LONGEST_REST {
        return Err(Wrong::TooLong);
    }
    let Some(rest) = rest.get(..length) else {
        return Ok(None);
    };
    let taken = 16 + length;
    match command {
        // LOCAL: a health check, say. Whatever follows is to be skipped.
        0 => return Ok(Some((taken, Sender::default()))),
        1 => {}
        _ => return Err(Wrong::Malformed),
    }
    let (source, tlvs) = match head[13] {
        0x11 => {
            let (part, tlvs) = rest.split_first_chunk::<12>().ok_or(Wrong::Malformed)?;
            let address = Ipv4Addr::new(part[0], part[1], part[2], part[3]);
            let port = u16::from_be_bytes([part[8], part[9]]);
            (Some(SocketAddr::new(address.into(), port)), tlvs)
        }
        0x21 => {
            let (part, tlvs) = rest.split_first_chunk::<36>().ok_or(Wrong::Malformed)?;
            let mut address = [0; 16];
            address.copy_from_slice(&part[..16]);
            let port = u16::from_be_bytes([part[32], part[33]]);
            (
                Some(SocketAddr::new(Ipv6Addr::from(address).into(), port)),
                tlvs,
            )
        }
        // A unix socket on the other side: no address of use, but what follows has its form.
        0x31 => (None, rest.get(216..).ok_or(Wrong::Malformed)?),
        // UNSPEC: the rest is to be skipped.
        0x00 => return Ok(Some((taken, Sender::default()))),
        // Datagrams and what is not yet invented: not for a server of HTTP.
        _ => return Err(Wrong::Malformed),
    };
    let is_https = has_tls(tlvs)?;
    Ok(Some((taken, Sender { source, is_https })))
}

/// Whether the TLVs tell of TLS; they must be whole.
fn has_tls(mut tlvs: &[u8]) -> Result<bool, Wrong> {
    let mut is_https = false;
    while let Some(([kind, high, low], rest)) = tlvs.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(Wrong::Malformed)?;
        if *kind == PP2_TYPE_SSL {
            let client = value.first().ok_or(Wrong::Malformed)?;
            is_https = client & PP2_CLIENT_SSL != 0;
        }
        tlvs = &rest[length..];
    }
    if tlvs.is_empty() {
        Ok(is_https)
    } else {
        Err(Wrong::Malformed)
    }
}

/// Takes a header from the beginning of a connection. The caller sets the time.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Sender> {
    let wrong = |wrong: Wrong| io::Error::new(io::ErrorKind::InvalidData, wrong);
    // Both versions are at least this long, so nothing behind the header is touched.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    loop {
        if let Some((taken, sender)) = parse(&header).map_err(wrong)? {
            debug_assert_eq!(taken, header.len(), "never reads ahead");
            return Ok(sender);
        }
        // Version 2 tells its length in the first 16 bytes; version 1 is read byte by byte.
        let more = match header.len() {
            12 if header.starts_with(SIGNATURE) => 4,
            16 if header.starts_with(SIGNATURE) => {
                usize::from(u16::from_be_bytes([header[14], header[15]]))
            }
            _ => 1,
        };
        let from = header.len();
        header.resize(from + more, 0);
        stream.read_exact(&mut header[from..]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn source(text: &str) -> Sender {
        Sender {
            source: Some(text.parse().expect(text)),
            is_https: false,
        }
    }

    #[test]
    fn version_1() {
        let check = |line: &str, expect: Result<Sender, Wrong>| {
            let expect = expect.map(|sender| Some((line.len(), sender)));
            assert_eq!(parse(line.as_bytes()), expect, "{line:?}");
            let mut more = line.as_bytes().to_vec();
            more.extend(b"GET / HTTP/1.1\r\n");
            assert_eq!(parse(&more), expect, "{line:?} with more behind");
        };
        check(
            "PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n",
            Ok(source("192.0.2.7:5000")),
        );
        check(
            "PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n",
            Ok(source("[2001:db8::7]:5000")),
        );
        check("PROXY UNKNOWN\r\n", Ok(Sender::default()));
        check("PROXY UNKNOWN ffff::1 what ever\r\n", Ok(Sender::default()));
        for wrong in [
            "PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 5000\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 5000 443 1\r\n",
            "PROXY TCP4  192.0.2.7 192.0.2.1 5000 443\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 05000 443\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 +500 443\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 65536 443\r\n",
            "PROXY TCP4 2001:db8::7 192.0.2.1 5000 443\r\n",
            "PROXY TCP6 192.0.2.7 192.0.2.1 5000 443\r\n",
            "PROXY UDP4 192.0.2.7 192.0.2.1 5000 443\r\n",
            "PROXY \r\n",
            "PROXY tcp4 192.0.2.7 192.0.2.1 5000 443\r\n",
        ] {
            check(wrong, Err(Wrong::Malformed));
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
        assert_eq!(parse(long.as_bytes()), Err(Wrong::TooLong));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(Wrong::NoHeader));
        assert_eq!(parse(b"PROXY TC"), Ok(None));
        assert_eq!(parse(b""), Ok(None));
    }

    #[test]
    fn version_2() {
        let check = |bytes: Vec<u8>, expect: Result<Sender, Wrong>| {
            let expect = expect.map(|sender| Some((bytes.len(), sender)));
            assert_eq!(parse(&bytes), expect, "{bytes:?}");
        };
        let four = [192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 1, 0xbb];
        check(v2(1, 0x11, &four), Ok(source("192.0.2.7:5000")));
        let mut six = [0_u8; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 7;
        six[32..34].copy_from_slice(&[0x13, 0x88]);
        check(v2(1, 0x21, &six), Ok(source("[2001:db8::7]:5000")));
        check(v2(0, 0x00, b"anything"), Ok(Sender::default()));
        check(v2(1, 0x00, b"anything"), Ok(Sender::default()));
        check(v2(1, 0x31, &[0; 216]), Ok(Sender::default()));
        let tls = [&four[..], &[PP2_TYPE_SSL, 0, 5, 1, 0, 0, 0, 0]].concat();
        let over_tls = Sender {
            is_https: true,
            ..source("192.0.2.7:5000")
        };
        check(v2(1, 0x11, &tls), Ok(over_tls));
        let not_tls = [&four[..], &[PP2_TYPE_SSL, 0, 5, 0, 0, 0, 0, 0]].concat();
        check(v2(1, 0x11, &not_tls), Ok(source("192.0.2.7:5000")));
        for (command, family, rest) in [
            (2, 0x11, &four[..]),
            (1, 0x11, &four[..11]),
            (1, 0x12, &four[..]),
            (1, 0x41, &four[..]),
            (1, 0x21, &four[..]),
            (1, 0x31, &four[..]),
            // A TLV that is longer than what is left, and one cut short.
            (1, 0x11, &[&four[..], &[1, 0, 9, 1]].concat()),
            (1, 0x11, &[&four[..], &[1, 0]].concat()),
            (1, 0x11, &[&four[..], &[PP2_TYPE_SSL, 0, 0]].concat()),
        ] {
            check(v2(command, family, rest), Err(Wrong::Malformed));
        }
        let mut version_3 = v2(1, 0x11, &four);
        version_3[12] = 0x31;
        check(version_3, Err(Wrong::Malformed));
        let mut long = v2(0, 0, &[]);
        long[14..16].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(parse(&long), Err(Wrong::TooLong));
    }

    proptest! {
        /// Whatever comes: no panic, and a header is found no earlier than when it is whole.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
            let bytes = match kind {
                0 => bytes,
                1 => [b"PROXY TCP4 ", &bytes[..]].concat(),
                _ => [&SIGNATURE[..], &bytes].concat(),
            };
            if let Ok(Some((taken, sender))) = parse(&bytes) {
                prop_assert!(taken <= bytes.len());
                prop_assert_eq!(parse(&bytes[..taken]), Ok(Some((taken, sender))));
                prop_assert_eq!(parse(&bytes[..taken - 1]), Ok(None));
            }
        }
    }
}
