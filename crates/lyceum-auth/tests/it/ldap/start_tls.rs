//! What anybody on the way to a directory may answer before TLS stands.

use std::net::Ipv4Addr;

use lyceum_auth::Refused;
use lyceum_auth::ldap::LdapConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::principal::{self, parts, read, tlv};
use super::{PASSWORD, ask, door};

/// Answers the first request of one connection with these bytes, and tells that request and what came
/// behind it.
async fn answering(answer: Vec<u8>) -> (String, JoinHandle<(Vec<u8>, Vec<u8>)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let told = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read(&mut stream).await.unwrap();
        // Whoever has heard enough hangs up.
        let _ = stream.write_all(&answer).await;
        let mut behind = Vec::new();
        let _ = stream.read_to_end(&mut behind).await;
        (request, behind)
    });
    (url, told)
}

fn answer(tag: u8, code: u8, words: &str) -> Vec<u8> {
    let result = [
        tlv(0x0a, &[code]),
        tlv(0x04, b""),
        tlv(0x04, words.as_bytes()),
    ];
    let operation = tlv(tag, &result.concat());
    tlv(0x30, &[tlv(0x02, &[1]), operation].concat())
}

/// So many sequences, each in the one before.
fn nested(levels: usize) -> Vec<u8> {
    let mut backwards: Vec<u8> = Vec::new();
    for _ in 0..levels {
        let length = u32::try_from(backwards.len()).unwrap().to_le_bytes();
        backwards.extend(length);
        backwards.extend([0x84, 0x30]);
    }
    backwards.reverse();
    backwards
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_answered_in_clear_text_is_read_flatly_and_little_of_it() {
    let check = async |answer: Vec<u8>, expect: &str| {
        let (url, told) = answering(answer).await;
        let ldap = door(LdapConfig {
            start_tls: true,
            ..principal::config(url)
        });
        let refused = ask(&ldap, "ada", PASSWORD).await;
        let Err(Refused::Internal(problem)) = refused else {
            panic!("{expect}: {refused:?}");
        };
        let problem = format!("{problem:#}");
        assert!(problem.contains(expect), "{expect}: {problem}");
        assert!(problem.len() < 800 && !problem.contains('\n'), "{problem}");
        let (request, behind) = told.await.unwrap();
        let name = tlv_short(0x80, b"1.3.6.1.4.1.1466.20037");
        assert_eq!(parts(&request), [(0x02, &[1][..]), (0x77, &name)]);
        assert_eq!(behind, b"", "{expect}: nothing more is said in clear text");
    };
    let longer = "longer than 4096 bytes";
    check(nested(200_000), longer).await;
    check(nested(500), "no answer to StartTLS").await;
    check(
        [&b"\x30\x84\x7f\xff\xff\xff"[..], &[0x30; 100_000]].concat(),
        longer,
    )
    .await;
    check(answer(0x78, 52, &"x".repeat(10_000)), longer).await;
    check(
        answer(0x78, 52, &"a\n".repeat(1_000)),
        "with code 52 (a\\na",
    )
    .await;
    check(answer(0x78, 2, ""), "with code 2").await;
    check(answer(0x61, 0, ""), "no answer to StartTLS").await;
    check(b"SSH-2.0-x\r\n".to_vec(), "no LDAP").await;
    let more = [answer(0x78, 0, ""), answer(0x61, 0, "")].concat();
    check(more, "more than its answer").await;
}

fn tlv_short(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    [&[tag, length], content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_yes_comes_tls_and_nothing_else() {
    let (url, told) = answering(answer(0x78, 0, "")).await;
    let limit = std::time::Duration::from_millis(500);
    let ldap = door(LdapConfig {
        start_tls: true,
        timeout: limit,
        ..principal::config(url)
    });
    let refused = ask(&ldap, "ada", PASSWORD).await;
    assert!(matches!(refused, Err(Refused::Internal(_))), "{refused:?}");
    let (_, behind) = told.await.unwrap();
    // The record of a handshake.
    assert_eq!(behind[..2], [0x16, 0x03]);
    assert!(!String::from_utf8_lossy(&behind).contains(PASSWORD));
}
