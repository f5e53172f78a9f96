//! The stream, the questions and the reports as they are on the wire.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use lyceum_hub::jobs::revocations;
use lyceum_proxy::follow::wire::{
    ACCESS_PATH, ACTIVITY_PATH, News, STREAM_PATH, Taken, VOUCH_PATH,
};
use lyceum_testkit::hub::PROXY_SECRET;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use super::{PATIENCE, make_ready, quiet_hub, set_address, until};

/// Reads the stream of one hub, skipping beats and languages.
struct Reader {
    body: Incoming,
    buffer: Vec<u8>,
    numbering: String,
}

impl Reader {
    async fn open(hub: &TestHub, after: Option<(&str, i64)>) -> Self {
        let query = match after {
            Some((numbering, after)) => format!("?numbering={numbering}&after={after}"),
            None => String::new(),
        };
        let request = Request::builder()
            .uri(format!("http://{}{STREAM_PATH}{query}", hub.hub_address()))
            .header("authorization", format!("lyceum-proxy {PROXY_SECRET}"))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        let response = pool.request(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut reader = Self {
            body: response.into_body(),
            buffer: Vec::new(),
            numbering: String::new(),
        };
        let News::Hello { numbering, .. } = reader.line().await else {
            panic!("a stream begins with a hello");
        };
        reader.numbering = numbering;
        reader
    }

    async fn line(&mut self) -> News {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).expect("a line of news");
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame());
            let frame = frame
                .await
                .expect("in time")
                .expect("no end")
                .expect("whole");
            self.buffer.extend(frame.into_data().expect("data"));
        }
    }

    async fn news(&mut self) -> News {
        loop {
            let line = self.line().await;
            if !matches!(line, News::Beat { .. } | News::Languages { .. }) {
                return line;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_then_changes_then_on_at_another_replica() {
    for db in TestDb::both().await {
        let hub = quiet_hub(db.db().clone()).await;
        // Before there are rows: a keeper looks after those it finds at its start.
        let other = quiet_hub(db.another().await).await;
        make_ready(&hub, "ada", "", "http://127.0.0.1:1").await;
        let mut reader = Reader::open(&hub, None).await;
        let News::Snapshot {
            number,
            routes,
            more,
        } = reader.news().await
        else {
            panic!("a snapshot comes first");
        };
        assert!(!more);
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].prefix, "/user/ada/");

        let ben = make_ready(&hub, "ben", "gpu", "http://127.0.0.1:2").await;
        let News::Changes {
            number: second,
            put,
            removed,
            ..
        } = reader.news().await
        else {
            panic!("a change");
        };
        assert!(second > number);
        // News may tell again what a proxy that has just come knows already.
        assert!(put.iter().any(|route| route.prefix == "/user/ben/gpu/"));
        assert!(!removed.contains(&ben), "{removed:?}");
        set_address(&hub, &ben, None).await;
        let News::Changes {
            number: third,
            removed,
            ..
        } = reader.news().await
        else {
            panic!("a change");
        };
        assert!(removed.contains(&ben), "{removed:?}");

        // A proxy goes on at the other replica after what it has seen.
        let after = (reader.numbering.as_str(), number);
        let mut elsewhere = Reader::open(&other, Some(after)).await;
        assert_eq!(elsewhere.numbering, reader.numbering);
        let News::Changes {
            number: there,
            put,
            removed,
            ..
        } = elsewhere.news().await
        else {
            panic!("only what came after");
        };
        assert_eq!((there, put.len(), removed.len()), (third, 0, 1));

        // Numbers of another database, and ones that were never given, are no ground to go on from.
        for after in [("other", third), (reader.numbering.as_str(), third + 1_000)] {
            let mut reader = Reader::open(&other, Some(after)).await;
            let News::Snapshot { routes, .. } = reader.news().await else {
                panic!("a snapshot for {after:?}");
            };
            assert_eq!(routes.len(), 1);
        }
        // Nor are ones whose news are forgotten.
        let mut tx = db.db().write().await.expect("a transaction");
        let far = lyceum_model::clock::Millis(i64::MAX);
        lyceum_store::events::prune(&mut tx, far)
            .await
            .expect("pruned");
        tx.commit().await.expect("written");
        let mut late = Reader::open(&other, Some(after)).await;
        assert!(matches!(late.news().await, News::Snapshot { .. }));
        other.stop().await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_is_in_the_stream() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let mut reader = Reader::open(&hub, None).await;
        assert!(matches!(reader.news().await, News::Snapshot { .. }));
        ada.post_form("/hub/logout", &[]).await.expect(302);
        let News::Changes { revoked, only, .. } = reader.news().await else {
            panic!("a change");
        };
        assert_eq!(revoked, [Taken::Subject("ada".into())]);
        assert_eq!(only["ada"].len(), 1, "one session has ended");

        // Told together, what someone loses altogether is not limited to a part of it.
        let mut tx = db.db().write().await.expect("a transaction");
        let now = hub.hub.now();
        for (name, whole_at) in [("ada", 0), ("ben", 2), ("eve", 9)] {
            for at in 0..3 {
                let told = if at == whole_at {
                    revocations::announce(&mut tx, name, now).await
                } else {
                    revocations::announce_fallen(&mut tx, name, &[format!("s{at}")], now).await
                };
                told.expect("written");
            }
        }
        // More than fits is the whole.
        let many: Vec<String> = (0..1_000).map(|at| format!("s{at}")).collect();
        let told = revocations::announce_fallen(&mut tx, "kim", &many, now).await;
        told.expect("written");
        tx.commit().await.expect("written");
        let News::Changes { revoked, only, .. } = reader.news().await else {
            panic!("a change");
        };
        let names = ["ada", "ben", "eve", "kim"].map(|name| Taken::Subject(name.into()));
        assert_eq!(revoked, names);
        let only: Vec<_> = only.into_iter().collect();
        let grounds = ["s0", "s1", "s2"].map(str::to_owned).to_vec();
        assert_eq!(only, [("eve".to_owned(), grounds)]);

        let mut settings = hub.hub.settings().as_ref().clone();
        settings.admission.allow = Some(Default::default());
        hub.hub.reload(settings).await;
        let News::Changes { revoked, .. } = reader.news().await else {
            panic!("a change");
        };
        assert_eq!(revoked, [Taken::All]);
        // The end of the hub ends the stream, and the stream does not keep the hub.
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_proxies_come_in_and_only_by_themselves() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let token = hub.token("root").await;
    let direct = |authorization: &str| {
        Client::new(hub.hub_address()).with_header("authorization", authorization)
    };
    let right = format!("lyceum-proxy {PROXY_SECRET}");
    let body = json!({ "asks": [] });
    direct(&right)
        .post_json(ACCESS_PATH, &body)
        .await
        .expect(200);
    for wrong in [
        "lyceum-proxy",
        "lyceum-proxy ",
        "lyceum-proxy wrong",
        &format!("bearer {PROXY_SECRET}"),
        &format!("token {token}"),
    ] {
        direct(wrong)
            .post_json(ACCESS_PATH, &body)
            .await
            .expect(403);
        let report = json!({ "proxy": "p" });
        direct(wrong)
            .post_json(ACTIVITY_PATH, &report)
            .await
            .expect(403);
        direct(wrong).get(STREAM_PATH).await.expect(403);
        let question = json!({ "route": "r", "target": "http://127.0.0.1:1" });
        direct(wrong)
            .post_json(VOUCH_PATH, &question)
            .await
            .expect(403);
    }
    // The header that proves a forwarded request proves nothing here; and what the proxy forwards
    // for others is not its own, whatever they know.
    let forwarded = Client::new(hub.hub_address()).with_header("x-lyceum-proxy", PROXY_SECRET);
    forwarded.post_json(ACCESS_PATH, &body).await.expect(403);
    for client in [
        hub.client(),
        hub.client().with_header("authorization", &right),
    ] {
        client.post_json(ACCESS_PATH, &body).await.expect(403);
        client.get(STREAM_PATH).await.expect(403);
    }
    let many: Vec<_> = (0..65).map(|_| json!({ "route": "r" })).collect();
    let many = json!({ "asks": many });
    direct(&right)
        .post_json(ACCESS_PATH, &many)
        .await
        .expect(400);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_the_same_as_in_process() {
    let db = TestDb::sqlite().await;
    let hub = quiet_hub(db.db().clone()).await;
    let hub = hub.with_user("ada").await.with_user("eve").await;
    let route = make_ready(&hub, "ada", "", "http://127.0.0.1:1").await;
    let (ada, eve) = (hub.signed_in("ada").await, hub.signed_in("eve").await);
    let cookie = |client: &Client| client.cookie("lyceum-access").expect("signed in");
    let proxy = Client::new(hub.hub_address())
        .with_header("authorization", &format!("lyceum-proxy {PROXY_SECRET}"));
    let asks = json!({ "asks": [
        { "route": route, "cookie": cookie(&ada) },
        { "route": route, "cookie": cookie(&eve) },
        { "route": route, "token": hub.token("ada").await },
        { "route": route, "token": "forged" },
        { "route": route, "cookie": "forged" },
        { "route": route },
        { "route": "none", "cookie": cookie(&ada) },
        { "route": route, "token": "x".repeat(100_000) },
    ]});
    let answers = proxy.post_json(ACCESS_PATH, &asks).await.expect(200).json();
    let words: Vec<&str> = answers["answers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|answer| answer["answer"].as_str().expect("a word"))
        .collect();
    let expect = [
        "allow", "deny", "allow", "deny", "sign_in", "sign_in", "deny", "deny",
    ];
    assert_eq!(words, expect);
    assert_eq!(answers["answers"][0]["subject"], "ada");
    assert!(answers["answers"][0]["keep_ms"].as_u64().expect("a time") <= 30_000);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_count_by_their_age_and_never_as_the_future() {
    let db = TestDb::sqlite().await;
    let hub = quiet_hub(db.db().clone()).await;
    let (first, second) = (
        make_ready(&hub, "ada", "", "http://127.0.0.1:1").await,
        make_ready(&hub, "ben", "", "http://127.0.0.1:2").await,
    );
    let (third, fourth) = (
        make_ready(&hub, "eve", "", "http://127.0.0.1:3").await,
        make_ready(&hub, "tess", "", "http://127.0.0.1:4").await,
    );
    let proxy = Client::new(hub.hub_address())
        .with_header("authorization", &format!("lyceum-proxy {PROXY_SECRET}"));
    let now = hub.hub.now().0;
    let hour = 3_600_000;
    let report = json!({ "proxy": "p", "number": 3, "activity": [
        { "route": first, "last_ms": now - 5_000 },
        { "route": second, "last_ms": now + hour },
        { "route": third, "last_ms": now - hour, "age_ms": 20_000 },
        { "route": fourth, "last_ms": now + hour, "age_ms": 20_000 },
        { "route": "gone", "last_ms": now },
    ]});
    proxy.post_json(ACTIVITY_PATH, &report).await.expect(200);
    assert_eq!(hub.hub.links().followers().count(), 1);
    let mut tx = db.db().read().await.expect("a transaction");
    let used = async |tx: &mut lyceum_store::Tx, id: &str| {
        let row = lyceum_hub::db::servers::get(tx, id).await.expect("read");
        row.expect("there").last_activity_at
    };
    assert_eq!(used(&mut tx, &first).await, Some(now - 5_000));
    // A clock that is ahead makes nobody idle.
    let written = used(&mut tx, &second).await;
    let after = hub.hub.now().0;
    assert!(
        written.is_some_and(|at| (now..=after).contains(&at)),
        "{written:?} for {now}"
    );
    // Whatever the proxy's clock shows, it was twenty seconds ago.
    for id in [&third, &fourth] {
        let written = used(&mut tx, id).await;
        assert!(
            written.is_some_and(|at| (now..=after).contains(&(at + 20_000))),
            "{written:?} for {now}"
        );
    }
    let many: Vec<_> = (0..501)
        .map(|n| json!({ "route": n.to_string(), "last_ms": 1 }))
        .collect();
    let many = json!({ "proxy": "p", "activity": many });
    proxy.post_json(ACTIVITY_PATH, &many).await.expect(400);
    drop(tx);
    until("a route is in force", || {
        hub.proxy.routes().find("/user/ben/x").is_some()
    })
    .await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_vouches_for_its_servers_at_their_address() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    crate::kit::start_server(&hub, "ada").await;
    let mut tx = db.db().read().await.expect("a transaction");
    let rows = lyceum_hub::db::servers::in_state(&mut tx, lyceum_hub::servers::State::Ready);
    let row = rows.await.expect("read").remove(0);
    drop(tx);
    let proxy = Client::new(hub.hub_address())
        .with_header("authorization", &format!("lyceum-proxy {PROXY_SECRET}"));
    let at = row.address.expect("it runs");
    let cases = [
        (row.id.as_str(), at.as_str(), true),
        (row.id.as_str(), "http://127.0.0.1:1", false),
        ("none", at.as_str(), false),
    ];
    for (route, target, expect) in cases {
        let question = json!({ "route": route, "target": target });
        let answer = proxy.post_json(VOUCH_PATH, &question).await.expect(200);
        assert_eq!(answer.json()["vouched"], expect, "{route} {target}");
    }
    hub.stop().await;
}
