//! A proxy in place of configurable-http-proxy, with its control API on a port of its own.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use lyceum_proxy::{Config, Proxy, ProxySecret, SideListener};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{Answer, Client, until};

pub(crate) const TOKEN: &str = "secret-of-the-hub";

pub(crate) struct DropIn {
    pub(crate) proxy: Proxy,
    pub(crate) public: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) metrics: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for DropIn {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl DropIn {
    pub(crate) async fn start(config: Config) -> Self {
        Self::with_token(config, Some(TOKEN)).await
    }

    pub(crate) async fn with_token(config: Config, token: Option<&str>) -> Self {
        Self::run(Proxy::drop_in(config, None), token).await
    }

    pub(crate) async fn with_default(target: &str) -> Self {
        let proxy = Proxy::drop_in(Config::default(), Some(target));
        Self::run(proxy, Some(TOKEN)).await
    }

    async fn run(proxy: Proxy, token: Option<&str>) -> Self {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (public, api, metrics) = (listen().await, listen().await, listen().await);
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let (public_at, api_at, metrics_at) = (address(&public), address(&api), address(&metrics));
        let token = token.map(|token| ProxySecret::from(token.to_owned()));
        let (one, two, three) = (proxy.clone(), proxy.clone(), proxy.clone());
        let never = std::future::pending::<()>;
        let tasks = vec![
            tokio::spawn(async move { one.run(public, never()).await }),
            tokio::spawn(async move {
                two.run_control(SideListener::Tcp(api), token, never())
                    .await;
            }),
            tokio::spawn(async move {
                three
                    .run_metrics(SideListener::Tcp(metrics), None, never())
                    .await;
            }),
        ];
        Self {
            proxy,
            public: public_at,
            api: api_at,
            metrics: metrics_at,
            tasks,
        }
    }

    /// With one route, `/user/ada`.
    pub(crate) async fn with_ada(server: SocketAddr) -> Self {
        let it = Self::start(Config::default()).await;
        it.put("/user/ada", server).await;
        it
    }

    pub(crate) async fn put(&self, path: &str, server: SocketAddr) {
        let body = format!(r#"{{"target":"http://{server}","jupyterhub":true}}"#);
        let answer = self.api("POST", &format!("/api/routes{path}"), &body).await;
        assert_eq!((answer.status, answer.text().as_str()), (201, ""));
    }

    /// A call of the control API with the token.
    pub(crate) async fn api(&self, method: &str, path: &str, body: &str) -> Answer {
        self.api_with(
            method,
            path,
            &format!("Authorization: token {TOKEN}\r\n"),
            body,
        )
        .await
    }

    pub(crate) async fn api_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut client = self.api_client().await;
        client.send(change(method, path, headers, body)).await;
        client.answer().await
    }

    pub(crate) async fn api_client(&self) -> Client {
        Client(TcpStream::connect(self.api).await.unwrap())
    }

    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.public).await.unwrap())
    }

    /// All routes by path.
    pub(crate) async fn routes(&self) -> Value {
        let answer = self.api("GET", "/api/routes", "").await;
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) async fn last_activity(&self, path: &str) -> String {
        let routes = self.routes().await;
        routes[path]["last_activity"].as_str().unwrap().to_owned()
    }

    /// Waits until the clock has moved on, so that activity from now on shows.
    pub(crate) async fn later(&self, path: &str) -> String {
        let at = now_ms();
        until("the next millisecond", || now_ms() > at + 1).await;
        self.last_activity(path).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        let mut client = self.client().await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n{headers}\r\n"))
            .await;
        client.answer().await
    }

    /// The value of a line of the metrics page.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let mut client = Client(TcpStream::connect(self.metrics).await.unwrap());
        client
            .send("GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        answer.text().lines().find_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key == name).then(|| value.parse().unwrap())
        })
    }
}

fn now_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

pub(crate) fn change(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: api\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}
