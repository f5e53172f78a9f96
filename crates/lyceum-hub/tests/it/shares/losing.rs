//! All the ways in which a share ends while its holder works in the server.

use hyper::Method;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use super::{ADAS, held, opens, patch, sharing, with_group, with_user};
use crate::grants::{reload, role};
use crate::kit::{Socket, program, start_server, until};

struct Story {
    hub: TestHub,
    ada: Client,
    ben: Client,
    root: Client,
    /// Of ben's, which may do less than he.
    token: String,
}

impl Story {
    async fn begin(db: &TestDb) -> Self {
        let hub = sharing(db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let root = program(&hub, "root").await;
        let token = hub.token("ben").await;
        start_server(&hub, "ben").await;
        Self {
            hub,
            ada,
            ben,
            root,
            token,
        }
    }

    async fn shared(&self, body: serde_json::Value) -> Socket {
        self.ada.post_json(ADAS, &body).await.expect(200);
        self.in_again().await
    }

    /// A refusal is remembered for a moment.
    async fn in_again(&self) -> Socket {
        until("ben may come in", async || opens(&self.ben).await == 200).await;
        let value = format!("token {}", self.token);
        until("and his other token", async || {
            Socket::open(&self.hub, "authorization", &value)
                .await
                .is_some()
        })
        .await;
        Socket::by_token(&self.hub, &self.token).await
    }

    /// The socket closes, nothing opens it again, and what is his own stays his.
    async fn assert_lost(&self, mut socket: Socket, how: &str) {
        socket.assert_ends().await;
        assert_eq!(opens(&self.ben).await, 403, "{how}");
        assert!(held(&self.ben).await.is_empty(), "{how}");
        let value = format!("token {}", self.token);
        let again = Socket::open(&self.hub, "authorization", &value).await;
        assert!(again.is_none(), "{how}");
        self.ben.get("/user/ben/lab").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_a_share_is_out_at_once() {
    for db in TestDb::both().await {
        let story = Story::begin(&db).await;
        let Story {
            hub,
            ada,
            ben,
            root,
            ..
        } = &story;
        let mut others = Socket::by_token(hub, &hub.token("ada").await).await;

        let socket = story.shared(with_user("ben")).await;
        patch(ada, ADAS, &with_user("ben")).await.expect(200);
        story.assert_lost(socket, "taken back").await;

        let socket = story.shared(with_user("ben")).await;
        ada.delete(ADAS).await.expect(204);
        story.assert_lost(socket, "all taken back").await;

        let socket = story.shared(with_user("ben")).await;
        ben.delete("/hub/api/users/ben/shared/ada/")
            .await
            .expect(204);
        story.assert_lost(socket, "given up").await;

        let socket = story.shared(with_group("lab")).await;
        root.delete("/hub/api/groups/lab/shared/ada/")
            .await
            .expect(204);
        story.assert_lost(socket, "taken from the group").await;

        let socket = story.shared(with_group("lab")).await;
        let body = json!({ "users": ["ben"] }).to_string();
        let headers = [("content-type", "application/json")];
        let users = "/hub/api/groups/lab/users";
        root.send(Method::DELETE, users, &headers, body.into())
            .await
            .expect(200);
        story.assert_lost(socket, "taken out of the group").await;

        let put_back = json!({ "users": ["ben"] });
        root.post_json(users, &put_back).await.expect(200);
        let socket = story.shared(with_group("lab")).await;
        root.delete("/hub/api/groups/lab").await.expect(204);
        story.assert_lost(socket, "the group is gone").await;
        others.assert_open().await;

        let socket = story.shared(with_user("ben")).await;
        reload(hub, |grants| {
            role(grants, "sharer", &["read:shares!user"], &["ada"])
        })
        .await;
        story.assert_lost(socket, "ada may share no longer").await;

        // And it is his again when she may.
        reload(hub, |grants| {
            role(grants, "sharer", &["shares!user"], &["ada"])
        })
        .await;
        story.in_again().await.assert_open().await;
    }
}

/// Who gave it is not the owner here, and her right comes by a group.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_ends_with_its_givers_right() {
    for db in TestDb::both().await {
        let story = Story::begin(&db).await;
        let Story { hub, root, .. } = &story;
        reload(hub, |grants| {
            let scopes = ["shares", "read:users:name"];
            role(grants, "desk", &scopes, &["group:desk"]);
            crate::grants::group(grants, "desk", &["tess"]);
        })
        .await;
        let tess = program(hub, "tess").await;
        tess.post_json(ADAS, &with_user("ben")).await.expect(200);
        let socket = story.in_again().await;
        let body = json!({ "users": ["tess"] });
        let headers = [("content-type", "application/json")];
        let users = "/hub/api/groups/desk/users";
        root.send(Method::DELETE, users, &headers, body.to_string().into())
            .await
            .expect(200);
        story.assert_lost(socket, "out of the desk's group").await;

        root.post_json(users, &body).await.expect(200);
        let socket = story.in_again().await;
        root.delete("/hub/api/users/tess").await.expect(204);
        story.assert_lost(socket, "who gave it is gone").await;
        assert_eq!(super::number(hub, "SELECT COUNT(*) FROM shares").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_shut_out_gives_and_gets_nothing() {
    let db = TestDb::sqlite().await;
    let story = Story::begin(&db).await;
    let hub = &story.hub;
    let mut socket = story.shared(with_user("ben")).await;
    let block = async |name: Option<&str>| {
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.admission.block.people = name.map(crate::grants::name).into_iter().collect();
        hub.hub.reload(settings).await;
    };
    block(Some("ben")).await;
    socket.assert_ends().await;
    assert_eq!(opens(&story.ben).await, 403);
    block(None).await;
    let socket = story.in_again().await;
    block(Some("ada")).await;
    story.assert_lost(socket, "ada is shut out").await;
}

/// A service of the configuration has no row; what it gave goes with it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_gave_goes_with_it() {
    for db in TestDb::both().await {
        let story = Story::begin(&db).await;
        let hub = &story.hub;
        let desk = |grants: &mut lyceum_hub::grants::Grants| {
            crate::grants::service(grants, "desk", |_| {});
            let scopes = ["shares", "read:users:name"];
            role(grants, "desk", &scopes, &["service:desk"]);
        };
        reload(hub, desk).await;
        let service = crate::grants::as_service(hub, "desk");
        service.post_json(ADAS, &with_user("ben")).await.expect(200);
        let socket = story.in_again().await;
        reload(hub, |grants| {
            grants.services.remove("desk");
        })
        .await;
        story.assert_lost(socket, "the service is gone").await;
        assert_eq!(super::number(hub, "SELECT COUNT(*) FROM shares").await, 0);
        // Another of its name gives nothing by it.
        reload(hub, desk).await;
        assert!(held(&story.ben).await.is_empty());
    }
}

/// More holders than one announcement names: they lose it, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn what_very_many_lose_cuts_nobody_else() {
    let db = TestDb::sqlite().await;
    let story = Story::begin(&db).await;
    let Story { hub, ada, root, .. } = &story;
    let names: Vec<String> = (0..600).map(|at| format!("u{at}")).collect();
    let new = json!({ "usernames": names });
    root.post_json("/hub/api/users", &new).await.expect(201);
    let lab = "/hub/api/groups/lab/users";
    let body = json!({ "users": names });
    root.post_json(lab, &body).await.expect(200);
    ada.post_json(ADAS, &with_group("lab")).await.expect(200);
    let socket = story.in_again().await;
    let mut own = Socket::by_token(hub, &hub.token("ada").await).await;
    patch(ada, ADAS, &with_group("lab")).await.expect(200);
    story
        .assert_lost(socket, "taken back from the whole lab")
        .await;
    // It has not even been broken off.
    own.assert_open().await;
}
