//! The PROXY protocol: believed from named networks, there required, bounded in size and time.

use std::time::Duration;

use lyceum_proxy::{Arrivals, Config, Door, Listener, RouteAccess};

use crate::support::{Client, Server, TestProxy, header, route, until};

async fn start(from: &[&str], config: Config, server: &Server) -> TestProxy {
    let mut listener = Listener::plain("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap());
    listener.proxy_protocol = from.iter().map(|net| net.parse().unwrap()).collect();
    let door = Door::bind(&listener, None, false).unwrap();
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start_doors(config, server.address, routes, vec![door]).await
}

async fn forwarded_for(proxy: &TestProxy, server: &Server, first: &[u8]) -> String {
    let request = [first, b"GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n"].concat();
    let answer = proxy.ask(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    header(&server.last().0, "x-forwarded-for").unwrap()
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// 192.0.2.7, with a TLV that says whether there was TLS.
fn version_2_with_tls(tls: u8) -> Vec<u8> {
    let mut rest = vec![192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 1, 0xbb];
    rest.extend([0x20, 0, 5, tls, 0, 0, 0, 0]);
    version_2(1, 0x11, &rest)
}

#[tokio::test]
async fn both_versions_tell_the_client() {
    let server = Server::ok().await;
    let proxy = start(&["127.0.0.0/8"], Config::default(), &server).await;
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
    assert_eq!(forwarded_for(&proxy, &server, line).await, "192.0.2.7");
    let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n";
    assert_eq!(forwarded_for(&proxy, &server, line).await, "2001:db8::7");
    let unknown = b"PROXY UNKNOWN\r\n";
    assert_eq!(forwarded_for(&proxy, &server, unknown).await, "127.0.0.1");
    for (tls, scheme) in [(1, "https"), (0, "http")] {
        let header_2 = version_2_with_tls(tls);
        assert_eq!(forwarded_for(&proxy, &server, &header_2).await, "192.0.2.7");
        let proto = header(&server.last().0, "x-forwarded-proto");
        assert_eq!(proto.as_deref(), Some(scheme));
    }
    let local = version_2(0, 0, &[]);
    assert_eq!(forwarded_for(&proxy, &server, &local).await, "127.0.0.1");
}

#[tokio::test]
async fn a_header_in_pieces_is_read() {
    let server = Server::ok().await;
    let proxy = start(&["127.0.0.1"], Config::default(), &server).await;
    for first in [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n".to_vec(),
        version_2_with_tls(1),
    ] {
        let mut client = proxy.connect().await;
        client.0.set_nodelay(true).unwrap();
        for byte in first {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 200);
        let from = header(&server.last().0, "x-forwarded-for");
        assert_eq!(from.as_deref(), Some("192.0.2.7"));
    }
}

#[tokio::test]
async fn whoever_a_header_tells_of_is_not_trusted() {
    let server = Server::ok().await;
    let config = Config {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let proxy = start(&["127.0.0.0/8"], config, &server).await;
    let spoof = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\nGET /open/ HTTP/1.1\r\nHost: lab\r\nX-Forwarded-For: 10.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(proxy.ask(spoof).await.status, 200);
    let (head, _) = server.last();
    assert_eq!(
        header(&head, "x-forwarded-for").as_deref(),
        Some("192.0.2.7")
    );
    assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn from_elsewhere_it_is_just_a_bad_request() {
    let server = Server::ok().await;
    let proxy = start(&["192.0.2.0/24"], Config::default(), &server).await;
    let line =
        "PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\nGET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n";
    assert_eq!(proxy.ask(line).await.status, 400);
    assert_eq!(server.count(), 0);
    assert_eq!(proxy.get("/open/", "").await.status, 200);
}

#[tokio::test]
async fn a_connection_without_a_proper_header_is_closed() {
    let server = Server::ok().await;
    let proxy = start(&["127.0.0.1"], Config::default(), &server).await;
    let mut long = version_2(1, 0x11, &[]);
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    for wrong in [
        b"GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n".to_vec(),
        b"PROXY TCP4 nonsense\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
        version_2(1, 0x11, b"short"),
        long,
    ] {
        let mut client = proxy.connect().await;
        client.send(&wrong).await;
        let (bytes, _) = client.read_rest().await;
        assert!(bytes.is_empty(), "{bytes:?} for {wrong:?}");
    }
    assert_eq!(server.count(), 0);
    let count = "connections_turned_away_total{why=\"proxy_header\"} 5";
    until("the count", || proxy.metrics().contains(count)).await;
}

#[tokio::test]
async fn a_silent_load_balancer_is_not_waited_for() {
    let server = Server::ok().await;
    let config = Config {
        arrivals: Arrivals {
            proxy_header: Duration::from_millis(100),
            ..Arrivals::default()
        },
        ..Config::default()
    };
    let proxy = start(&["127.0.0.1"], config, &server).await;
    for first in [&b""[..], b"PROXY TCP4 192.0"] {
        let mut client: Client = proxy.connect().await;
        client.send(first).await;
        assert!(client.read_rest().await.0.is_empty());
    }
    let count = "why=\"proxy_header_time_out\"} 2";
    until("the count", || proxy.metrics().contains(count)).await;
}

#[tokio::test]
async fn the_limit_per_client_counts_whom_the_header_tells_of() {
    let server = Server::ok().await;
    let mut config = Config::default();
    config.limits.connections_per_client = 1;
    let proxy = start(&["127.0.0.1"], config, &server).await;
    let mut first = proxy.connect().await;
    first
        .send("PROXY TCP6 2001:db8::1 2001:db8::f 1 2\r\nGET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    assert_eq!(first.answer().await.status, 200);
    // The same /64.
    let mut second = proxy.connect().await;
    second
        .send("PROXY TCP6 2001:db8::2 2001:db8::f 1 2\r\n")
        .await;
    let (bytes, _) = second.read_rest().await;
    assert!(bytes.starts_with(b"HTTP/1.1 503"), "{bytes:?}");
    let other = b"PROXY TCP6 2001:db8:0:1::1 2001:db8::f 1 2\r\n";
    assert_eq!(
        forwarded_for(&proxy, &server, other).await,
        "2001:db8:0:1::1"
    );
}
