//! Listeners: several at once, unix sockets, redirects, readiness, and a change of processes.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use lyceum_proxy::{Config, Door, Limits, ListenAddress, Listener, RouteAccess};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::support::{Client, Server, TestProxy, header, route, soon, until};

fn any_port() -> Listener {
    Listener::plain("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

async fn start(config: Config, server: &Server, doors: Vec<Door>) -> TestProxy {
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start_doors(config, server.address, routes, doors).await
}

async fn ask_unix(path: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon("an answer", stream.read_to_string(&mut text))
        .await
        .unwrap();
    text
}

#[tokio::test]
async fn several_listeners_each_have_their_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let server = Server::ok().await;
    let local = Listener {
        trusted: true,
        ..Listener::plain(ListenAddress::Unix(path.clone()))
    };
    let other = Listener {
        redirect_to_https: Some(8443),
        ..any_port()
    };
    let doors =
        [any_port(), local.clone(), other].map(|one| Door::bind(&one, None, false).unwrap());
    let second = doors[2].local_addr().unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let taken = Door::bind(&local, None, false).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let mut proxy = start(Config::default(), &server, doors.into()).await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);

    let request = "GET /open/ HTTP/1.1\r\nHost: lab\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    assert!(ask_unix(&path, request).await.starts_with("HTTP/1.1 200"));
    let (head, _) = server.last();
    assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(
        header(&head, "x-forwarded-for").as_deref(),
        Some("192.0.2.7, 127.0.0.1")
    );

    let mut client = Client(TcpStream::connect(second).await.unwrap());
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab:80\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 301);

    soon("the end", proxy.begin_stop()).await.unwrap();
    assert!(!path.exists(), "the socket's file is left behind");
}

#[tokio::test]
async fn a_socket_file_of_a_dead_process_is_replaced_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let listener = Listener::plain(ListenAddress::Unix(path.clone()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Door::bind(&listener, None, false).unwrap());
    fs::write(&path, "a file").unwrap();
    let error = Door::bind(&listener, None, false).unwrap_err().to_string();
    assert!(error.contains("is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

#[tokio::test]
async fn plain_http_is_sent_on_to_https() {
    let server = Server::ok().await;
    let listener = Listener {
        redirect_to_https: Some(443),
        ..any_port()
    };
    let door = Door::bind(&listener, None, false).unwrap();
    let proxy = start(Config::default(), &server, vec![door]).await;
    let answer = proxy.get("/open/a%20b?token=1&x=%2f", "").await;
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.header("location").as_deref(),
        Some("https://lab/open/a%20b?token=1&x=%2f")
    );
    assert_eq!(answer.header("strict-transport-security"), None);
    let post = "POST /open/ HTTP/1.1\r\nHost: lab:8080\r\nContent-Length: 2\r\n\r\nhi";
    let answer = proxy.ask(post).await;
    assert_eq!(answer.status, 308);
    assert_eq!(
        answer.header("location").as_deref(),
        Some("https://lab/open/")
    );
    assert_eq!(server.count(), 0);
    // Whoever gets certificates behind us is asked there.
    let path = "/.well-known/acme-challenge/token";
    let answer = proxy.get(path, "").await;
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.header("location"),
        Some(format!("https://lab{path}"))
    );
    let answer = proxy.get("/_lyceum/ready", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ready\n"));
}

#[tokio::test]
async fn readiness_goes_first_and_listening_later() {
    let server = Server::ok().await;
    let config = Config {
        limits: Limits {
            unready: Duration::from_secs(1),
            ..Limits::default()
        },
        ..Config::default()
    };
    let door = Door::bind(&any_port(), None, false).unwrap();
    let mut proxy = start(config, &server, vec![door]).await;
    assert_eq!(proxy.get("/_lyceum/ready", "").await.status, 200);
    assert!(proxy.proxy.is_ready());
    let running = proxy.begin_stop();
    until("readiness to be off", || !proxy.proxy.is_ready()).await;
    let answer = proxy.get("/_lyceum/ready", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "draining\n"));
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    soon("the end", running).await.unwrap();
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

/// What is connected but not yet accepted when the end comes is answered too.
#[tokio::test]
async fn the_queue_is_served_before_the_socket_closes() {
    let server = Server::ok().await;
    let door = Door::bind(&any_port(), None, false).unwrap();
    let address = door.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Client(TcpStream::connect(address).await.unwrap());
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
            .await;
        waiting.push(client);
    }
    // Told to stop before it accepted anything.
    let mut proxy = start(Config::default(), &server, vec![door]).await;
    let running = proxy.begin_stop();
    for mut client in waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    soon("the end", running).await.unwrap();
}

/// One process hands its sockets to the next; nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_while_processes_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hand-over.sock");
    let server = Server::ok().await;
    let config = Config {
        limits: Limits {
            drain: Duration::from_secs(15),
            ..Limits::default()
        },
        ..Config::default()
    };
    let listener = any_port();
    let door = Door::bind(&listener, None, false).unwrap();
    let address = door.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (stop, done) = (stop.clone(), done.clone());
        clients.push(tokio::spawn(async move {
            while !stop.load(SeqCst) {
                let stream = TcpStream::connect(address).await.expect("to connect");
                let mut client = Client(stream);
                client
                    .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
                    .await;
                assert_eq!(client.answer().await.status, 200);
                done.fetch_add(1, SeqCst);
            }
        }));
    }
    let mut offer =
        lyceum_proxy::HandOver::bind(&path, vec![("web".into(), door.share().unwrap())]).unwrap();
    let mut proxy = start(config.clone(), &server, vec![door]).await;
    for _ in 0..5 {
        let before = done.load(SeqCst);
        until("traffic", || done.load(SeqCst) > before + 20).await;
        let waiting = tokio::spawn(offer.wait());
        let place = path.clone();
        let taken = tokio::task::spawn_blocking(move || lyceum_proxy::take_over(&place));
        let mut taken = soon("the sockets", taken)
            .await
            .unwrap()
            .unwrap()
            .expect("somebody is there");
        let socket = taken.take("web").expect("the socket");
        assert!(taken.take("web").is_none());
        let door = Door::adopt(&listener, None, socket).unwrap();
        assert_eq!(door.local_addr(), Some(address));
        let next = door.share().unwrap();
        let mut before =
            std::mem::replace(&mut proxy, start(config.clone(), &server, vec![door]).await);
        taken.serving().unwrap();
        soon("the old one to be told", waiting)
            .await
            .unwrap()
            .unwrap();
        before.proxy.hand_on();
        soon("the old one's end", before.begin_stop())
            .await
            .unwrap();
        offer = lyceum_proxy::HandOver::bind(&path, vec![("web".into(), next)]).unwrap();
    }
    stop.store(true, SeqCst);
    for client in clients {
        soon("a client", client).await.unwrap();
    }
    assert!(done.load(SeqCst) > 100);
}

#[tokio::test]
async fn without_a_predecessor_there_is_nothing_to_take_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hand-over.sock");
    assert!(lyceum_proxy::take_over(&path).unwrap().is_none());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(lyceum_proxy::take_over(&path).unwrap().is_none());
}

/// Workers of one process share a port.
#[tokio::test]
async fn workers_share_a_port() {
    let server = Server::ok().await;
    let first = Door::bind(&any_port(), None, true).unwrap();
    let address = first.local_addr().unwrap();
    let same = Listener::plain(address);
    assert!(Door::bind(&same, None, false).is_err());
    let second = Door::bind(&same, None, true).unwrap();
    let mut one = start(Config::default(), &server, vec![first]).await;
    let two = start(Config::default(), &server, vec![second]).await;
    let ask = async || {
        let mut client = Client(TcpStream::connect(address).await.unwrap());
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 200);
    };
    for _ in 0..50 {
        ask().await;
    }
    let counted = "lyceum_proxy_requests_total{kind=\"Open\",class=\"2xx\"}";
    let (by_one, by_two) = (one.sample(counted), two.sample(counted));
    assert_eq!(by_one + by_two, 50);
    assert!(
        by_one > 0 && by_two > 0,
        "the system spreads connections: {by_one} and {by_two}"
    );
    soon("one worker's end", one.begin_stop()).await.unwrap();
    for _ in 0..20 {
        ask().await;
    }
}

#[tokio::test]
async fn the_hub_is_told_whom_a_request_comes_from() {
    let hub = Server::ok().await;
    let ask = async |trusted: &[&str], chain: &str| {
        let config = Config {
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            proxy_secret: "secret".to_owned().into(),
            ..Config::default()
        };
        let door = Door::bind(&any_port(), None, false).unwrap();
        let proxy = start(config, &hub, vec![door]).await;
        let headers = format!("X-Forwarded-For: {chain}\r\nX-Lyceum-Client: 6.6.6.6\r\n");
        assert_eq!(proxy.get("/hub/login", &headers).await.status, 200);
        header(&hub.last().0, "x-lyceum-client").unwrap()
    };
    let inside = ["127.0.0.0/8", "10.0.0.0/8"];
    assert_eq!(ask(&[], "203.0.113.9").await, "127.0.0.1");
    assert_eq!(ask(&inside, "203.0.113.9").await, "203.0.113.9");
    assert_eq!(ask(&inside, "203.0.113.9, 10.1.1.1").await, "203.0.113.9");
    // What the client itself wrote stands further left.
    assert_eq!(
        ask(&inside, "6.6.6.6, 203.0.113.9, 10.1.1.1").await,
        "203.0.113.9"
    );
    assert_eq!(
        ask(&inside, "6.6.6.6, nonsense, 10.1.1.1").await,
        "10.1.1.1"
    );
    assert_eq!(ask(&inside, "2001:db8::1").await, "2001:db8::1");
    // A route's server is not the hub.
    let config = Config {
        proxy_secret: "secret".to_owned().into(),
        ..Config::default()
    };
    let door = Door::bind(&any_port(), None, false).unwrap();
    let proxy = start(config, &hub, vec![door]).await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    assert_eq!(header(&hub.last().0, "x-lyceum-client"), None);
}
