//! A proxy that nobody connects to, so that the functions that need one can be called.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::{
    Inner, Proxy,
    access::{Access, Ask, Decision},
    config::Config,
    listen::Conn,
    rewrite::{Rewrite, Scheme},
    route::{Route, RouteAccess, RouteTable},
};

/// What the hub knows us by. No server may see it.
pub(super) const SECRET: &str = "between-hub-and-proxy";
/// A cookie for the hub alone.
pub(super) const HIDDEN: &str = "hidden-cookie";
pub(super) const ADDRESS: &str = "192.0.2.7";
pub(super) const PREFIX: &str = "/user/ada/";

pub(super) struct World {
    pub(super) inner: Arc<Inner>,
    pub(super) trusted: Arc<Conn>,
    pub(super) stranger: Arc<Conn>,
}

struct Nobody;

#[async_trait]
impl Access for Nobody {
    async fn check(&self, _: &Ask) -> Decision {
        Decision::Deny
    }
}

/// By the ways of rewriting: none, the prefix left out, all else that can be changed.
pub(super) fn worlds() -> &'static [World; 3] {
    static WORLDS: OnceLock<[World; 3]> = OnceLock::new();
    WORLDS.get_or_init(|| {
        [
            Rewrite::default(),
            Rewrite {
                include_prefix: false,
                ..Rewrite::default()
            },
            Rewrite {
                prepend_path: false,
                auto_rewrite: true,
                change_origin: true,
                protocol_rewrite: Some(Scheme::Https),
                custom_headers: vec![("X-Custom".into(), "site".into())],
                ..Rewrite::default()
            },
        ]
        .map(World::new)
    })
}

impl World {
    fn new(rewrite: Rewrite) -> Self {
        let config = Config {
            rewrite,
            proxy_secret: SECRET.to_owned().into(),
            hidden_cookies: vec![HIDDEN.into()],
            ..Config::default()
        };
        let target = |text: &str| text.parse().expect("a target");
        let proxy = Proxy::new(config, target("http://hub.lab:8081"), Arc::new(Nobody));
        let route = Route {
            prefix: PREFIX.into(),
            id: "ada".into(),
            target: target("http://ada.lab:8888/base"),
            access: RouteAccess::Open,
            owner: String::new(),
        };
        proxy.set_routes(RouteTable::new(vec![route]).expect("a table"));
        let conn = |is_trusted| {
            let address = (ADDRESS.parse::<std::net::IpAddr>().expect("an address"), 9).into();
            Arc::new(Conn::of_nobody(&proxy.inner, address, is_trusted))
        };
        Self {
            trusted: conn(true),
            stranger: conn(false),
            inner: proxy.inner.clone(),
        }
    }
}
