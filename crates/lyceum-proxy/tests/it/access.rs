//! Who is let through, how long that is remembered, and that it can be taken back.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lyceum_proxy::{
    Access, Ask, Config, Credential, Decision, Limits, Proxy, Revoked, RouteAccess, RouteTable,
    Target,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
};

use crate::support::{Client, Server, TestProxy, header, resting_on, route, soon, until};

const PAGE: &str = "Accept: text/html,*/*\r\n";

async fn checked(hub: &Server, server: &Server) -> TestProxy {
    with_limits(hub, server, Limits::default()).await
}

async fn with_limits(hub: &Server, server: &Server, limits: Limits) -> TestProxy {
    let config = Config {
        limits,
        ..Config::default()
    };
    let routes = vec![route("/user/ada/", server.address, RouteAccess::Checked)];
    TestProxy::start(config, hub.address, routes).await
}

#[tokio::test]
async fn strangers_are_sent_to_the_hub_or_refused() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &server).await;
    let answer = proxy.get("/user/ada/lab?x=1&y=%2f", PAGE).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location").unwrap(),
        "/hub/user/ada/lab?x=1&y=%2f"
    );
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");

    proxy.access.decide("carl", Decision::Deny);
    for (headers, expect) in [
        (format!("{PAGE}Cookie: lyceum-access=carl\r\n"), 302),
        (format!("{PAGE}X-Requested-With: XMLHttpRequest\r\n"), 403),
        (format!("{PAGE}Sec-Fetch-Mode: cors\r\n"), 403),
        (format!("{PAGE}Sec-Fetch-Mode: navigate\r\n"), 302),
        ("Accept: application/json\r\n".into(), 403),
        ("Authorization: token carl\r\n".into(), 403),
        (
            format!("{PAGE}Connection: upgrade\r\nUpgrade: websocket\r\n"),
            403,
        ),
    ] {
        let answer = proxy.get("/user/ada/", &headers).await;
        assert_eq!(answer.status, expect, "{headers}");
    }
    let answer = proxy
        .get("/user/ada/", "Accept: application/json\r\n")
        .await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], 403);
    assert!(body["message"].is_string());
    let post = format!("POST /user/ada/ HTTP/1.1\r\nHost: lab\r\n{PAGE}Content-Length: 0\r\n\r\n");
    assert_eq!(proxy.ask(post).await.status, 403);
    assert_eq!(server.count(), 0, "nothing of it reached the server");
    assert!(
        proxy
            .metrics()
            .contains("lyceum_proxy_denied_total{why=\"denied\"}")
    );
}

#[tokio::test]
async fn the_base_path_is_kept_in_redirects() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let config = Config {
        base_path: "/lab".into(),
        ..Config::default()
    };
    let routes = vec![route(
        "/lab/user/ada/",
        server.address,
        RouteAccess::Checked,
    )];
    let proxy = TestProxy::start(config, hub.address, routes).await;
    let answer = proxy.get("/lab/user/ada/x", PAGE).await;
    assert_eq!(answer.header("location").unwrap(), "/lab/hub/user/ada/x");
}

#[tokio::test]
async fn cookies_of_the_hub_never_reach_a_server_nor_come_from_one() {
    let hub = Server::ok().await;
    let server = Server::answer_with(
        "HTTP/1.1 200 OK\r\nSet-Cookie: lyceum-access=evil; Path=/\r\nSet-Cookie: lyceum-language=evil\r\nSet-Cookie: __Host-jupyterhub-hub-login=evil; Path=/; Secure\r\nSet-Cookie: _xsrf=1\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let proxy = checked(&hub, &server).await;
    proxy.access.allow("s", "ada");
    let cookies = "Cookie: a=1; lyceum-access=s; jupyterhub-hub-login=h; __Secure-lyceum-access=z; lyceum-language=de; b=2\r\n";
    let answer = proxy.get("/user/ada/", cookies).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&server.last().0, "cookie").unwrap(), "a=1; b=2");
    assert!(!answer.head.contains("evil"), "{}", answer.head);
    assert!(answer.head.contains("_xsrf=1"));
    proxy.get("/hub/", cookies).await;
    assert!(
        hub.last()
            .0
            .contains("lyceum-access=s; jupyterhub-hub-login=h")
    );
}

#[tokio::test]
async fn decisions_are_remembered_per_credential_and_route() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let routes = vec![
        route("/user/ada/", server.address, RouteAccess::Checked),
        route("/user/bob/", server.address, RouteAccess::Checked),
    ];
    let proxy = TestProxy::start(Config::default(), hub.address, routes).await;
    proxy.access.allow("s", "ada");
    for _ in 0..5 {
        let answer = proxy.get("/user/ada/", "Cookie: lyceum-access=s\r\n").await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(proxy.access.asked.load(SeqCst), 1);
    proxy.get("/user/bob/", "Cookie: lyceum-access=s\r\n").await;
    proxy.get("/user/ada/", "Authorization: Bearer s\r\n").await;
    assert_eq!(proxy.access.asked.load(SeqCst), 3);
    let asks = proxy.access.asks.lock().unwrap();
    assert_eq!(asks[0].credential, Credential::AccessCookie("s".into()));
    assert_eq!(asks[1].route_id, "user/bob");
    assert_eq!(asks[2].credential, Credential::Token("s".into()));
    assert_eq!(asks[2].owner, "ada");
}

#[tokio::test]
async fn a_decision_lasts_as_long_as_it_says() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &server).await;
    let brief = Decision::Allow {
        subject: "ada".into(),
        grounds: [].into(),
        for_how_long: Duration::ZERO,
    };
    proxy.access.decide("s", brief);
    for _ in 0..3 {
        proxy.get("/user/ada/", "Cookie: lyceum-access=s\r\n").await;
    }
    assert_eq!(proxy.access.asked.load(SeqCst), 3);
}

#[tokio::test]
async fn what_is_revoked_is_asked_again() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &server).await;
    let status = async || {
        let answer = proxy.get("/user/ada/", "Cookie: lyceum-access=s\r\n").await;
        answer.status
    };
    for what in [
        Revoked::All,
        Revoked::Subject("ada".into()),
        resting_on("ada", "s"),
    ] {
        proxy.access.allow("s", "ada");
        proxy.proxy.revoke(Revoked::All);
        assert_eq!(status().await, 200);
        proxy.access.decide("s", Decision::Deny);
        proxy.proxy.revoke(Revoked::Subject("somebody else".into()));
        proxy.proxy.revoke(resting_on("ada", "another session"));
        assert_eq!(status().await, 200, "another's revocation changes nothing");
        proxy.proxy.revoke(what.clone());
        assert_eq!(status().await, 403, "{what:?}");
    }
}

/// A stream of events: says one, and then nothing.
const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n";

#[tokio::test]
async fn a_stream_of_events_ends_with_what_allowed_it() {
    let server = Server::answer_with(EVENTS).await;
    let proxy = checked(&server, &server).await;
    let open = async |cookie: &str| {
        proxy.access.allow(cookie, cookie);
        let mut client = proxy.connect().await;
        client
            .send(format!(
                "GET /user/ada/ HTTP/1.1\r\nHost: x\r\nCookie: lyceum-access={cookie}\r\n\r\n"
            ))
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        assert_eq!(client.exactly(9).await, b"4\r\none\n\r\n");
        client
    };
    for what in [Revoked::Subject("ada".into()), resting_on("ada", "ada")] {
        let (mut ada, bob) = (open("ada").await, open("bob").await);
        until("both to be long", || {
            proxy.sample("lyceum_proxy_long_answers") == 2
        })
        .await;
        proxy.proxy.revoke(resting_on("ada", "another session"));
        proxy.proxy.revoke(what);
        let (rest, _) = ada.read_rest().await;
        assert!(
            rest.is_empty(),
            "a part never looks like the whole: {rest:?}"
        );
        until("the other's to go on", || {
            proxy.sample("lyceum_proxy_long_answers") == 1
        })
        .await;
        drop(bob);
        until("none to be left", || {
            proxy.sample("lyceum_proxy_long_answers") == 0
        })
        .await;
    }
    let denied = "lyceum_proxy_denied_total{why=\"revoked\"}";
    assert_eq!(proxy.sample(denied), 2);
}

#[tokio::test]
async fn without_a_decision_nobody_passes() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &server).await;
    proxy.access.decide("s", Decision::Unavailable);
    let answer = proxy
        .get("/user/ada/", &format!("{PAGE}Cookie: lyceum-access=s\r\n"))
        .await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let counted = "lyceum_proxy_denied_total{why=\"unavailable\"}";
    assert_eq!(proxy.sample(counted), 1);
    proxy.access.allow("s", "ada");
    let answer = proxy.get("/user/ada/", "Cookie: lyceum-access=s\r\n").await;
    assert_eq!(answer.status, 200, "no decision is not remembered");
}

#[tokio::test]
async fn a_planted_cookie_does_not_shut_anyone_out() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &server).await;
    proxy.access.allow("mine", "ada");
    proxy.access.decide("planted", Decision::Deny);
    let cookies = "Cookie: lyceum-access=planted; lyceum-access=mine\r\n";
    assert_eq!(proxy.get("/user/ada/", cookies).await.status, 200);
}

/// Answers when told, and says when it was asked.
struct SlowAccess {
    asked: Notify,
    answers: Semaphore,
    count: std::sync::atomic::AtomicUsize,
}

#[async_trait]
impl Access for SlowAccess {
    async fn check(&self, _: &Ask) -> Decision {
        let number = self.count.fetch_add(1, SeqCst);
        self.asked.notify_one();
        self.answers.acquire().await.unwrap().forget();
        if number == 0 {
            Decision::Allow {
                subject: "ada".into(),
                grounds: [].into(),
                for_how_long: Duration::from_secs(600),
            }
        } else {
            Decision::Deny
        }
    }
}

/// A proxy that asks a slow hub, and where it is.
async fn start_slow(server: &Server, limits: Limits) -> (Proxy, SocketAddr, Arc<SlowAccess>) {
    let access = Arc::new(SlowAccess {
        asked: Notify::new(),
        answers: Semaphore::new(0),
        count: Default::default(),
    });
    let config = Config {
        limits,
        ..Config::default()
    };
    let proxy = Proxy::new(config, Target::from(server.address), access.clone());
    let routes = vec![route("/user/ada/", server.address, RouteAccess::Checked)];
    proxy.set_routes(RouteTable::new(routes).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.run(listener, std::future::pending()).await }
    });
    (proxy, address, access)
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_not_waited_for_long() {
    let server = Server::ok().await;
    let limits = Limits {
        access: Duration::from_millis(200),
        ..Limits::default()
    };
    let began = Instant::now();
    let (_proxy, address, access) = start_slow(&server, limits).await;
    let mut client = Client(tokio::net::TcpStream::connect(address).await.unwrap());
    let ask = "GET /user/ada/ HTTP/1.1\r\nHost: lab\r\nCookie: lyceum-access=s\r\n\r\n";
    client.send(ask).await;
    assert_eq!(client.answer().await.status, 503);
    assert!(began.elapsed() < Limits::default().access);
    assert_eq!((access.count.load(SeqCst), server.count()), (1, 0));
}

#[tokio::test]
async fn a_refusal_is_remembered_for_as_long_as_it_is_said() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    for (refusal, asked) in [(Duration::from_secs(600), 1), (Duration::ZERO, 5)] {
        let limits = Limits {
            refusal,
            ..Limits::default()
        };
        let proxy = with_limits(&hub, &server, limits).await;
        proxy.access.decide("carl", Decision::Deny);
        for _ in 0..5 {
            let answer = proxy.get("/user/ada/", "Cookie: lyceum-access=carl\r\n");
            assert_eq!(answer.await.status, 403);
        }
        assert_eq!(proxy.access.asked.load(SeqCst), asked, "{refusal:?}");
    }
}

#[tokio::test]
async fn no_more_decisions_are_remembered_than_is_said() {
    const PEOPLE: usize = 1_000;
    const MOST: usize = 16;
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let limits = Limits {
        decisions: MOST,
        ..Limits::default()
    };
    let proxy = with_limits(&hub, &server, limits).await;
    let mut client = proxy.connect().await;
    let mut all_ask = async || {
        for number in 0..PEOPLE {
            proxy.access.allow(&format!("s{number}"), "ada");
            let ask = format!(
                "GET /user/ada/ HTTP/1.1\r\nHost: lab\r\nCookie: lyceum-access=s{number}\r\n\r\n"
            );
            client.send(ask).await;
            assert_eq!(client.answer().await.status, 200);
        }
        proxy.access.asked.load(SeqCst)
    };
    assert_eq!(all_ask().await, PEOPLE);
    // All but those remembered are asked for again.
    let asked = all_ask().await;
    assert!(asked >= 2 * PEOPLE - MOST, "{asked}");
    let struck = proxy.struck("decisions");
    assert!(struck as usize >= 2 * PEOPLE - 2 * MOST, "{struck}");
}

#[tokio::test]
async fn a_revocation_overtakes_a_question_under_way() {
    let server = Server::ok().await;
    let (proxy, address, access) = start_slow(&server, Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client(tokio::net::TcpStream::connect(address).await.unwrap());
        client
            .send("GET /user/ada/ HTTP/1.1\r\nHost: lab\r\nCookie: lyceum-access=s\r\n\r\n")
            .await;
        clients.push(client);
    }
    soon("the first question", access.asked.notified()).await;
    proxy.revoke(Revoked::Subject("ada".into()));
    access.answers.add_permits(100);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 403);
    }
    assert_eq!(
        access.count.load(SeqCst),
        2,
        "five requests asked once, then once more"
    );
}

#[tokio::test]
async fn a_program_in_a_servers_place_gets_no_byte() {
    let (hub, thief) = (Server::ok().await, Server::ok().await);
    let proxy = checked(&hub, &thief).await;
    proxy.access.allow("ada", "ada");
    let target = Target::from(thief.address);
    proxy.access.robbed.lock().unwrap().push(target.clone());
    let cookie = "Cookie: lyceum-access=ada; jupyterhub-user-ada=secret\r\n";
    let upgrade = format!("{cookie}Connection: upgrade\r\nUpgrade: websocket\r\n");
    for headers in [cookie, &upgrade] {
        let answer = proxy.get("/user/ada/lab", headers).await;
        assert_eq!(answer.status, 503, "{headers}");
    }
    assert_eq!(thief.count(), 0);
    let counted = "lyceum_proxy_upstream_errors_total{why=\"stranger\"} 2";
    assert!(proxy.metrics().contains(counted), "{}", proxy.metrics());

    // A server that is its own again is served, and the hub is not asked about itself.
    let mut robbed = vec![Target::from(hub.address)];
    std::mem::swap(&mut *proxy.access.robbed.lock().unwrap(), &mut robbed);
    assert_eq!(proxy.get("/hub/login", "").await.status, 200);
    assert_eq!(proxy.get("/user/ada/lab", cookie).await.status, 200);
}
