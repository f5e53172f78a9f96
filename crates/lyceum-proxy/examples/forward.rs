//! One worker of the proxy on one thread, for measuring: `forward LISTEN TARGET [ROUTES]`.
//!
//! Everything goes to TARGET; ROUTES more routes (to the same) make the table large. Prints nothing
//! and runs until it is killed.

use std::sync::Arc;

use lyceum_proxy::{
    Access, Ask, Config, Decision, Http2, Limits, Proxy, Route, RouteAccess, RouteTable, Target,
};

struct Nobody;

#[async_trait::async_trait]
impl Access for Nobody {
    async fn check(&self, _: &Ask) -> Decision {
        Decision::Deny
    }
}

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target, rest @ ..] = arguments.as_slice() else {
        return Err("usage: forward LISTEN TARGET [ROUTES]".into());
    };
    let target: Target = target.parse()?;
    let routes = rest.first().map_or(Ok(0), |count| count.parse::<usize>())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let limits = Limits {
            connections: 100_000,
            connections_per_client: 100_000,
            ..Limits::default()
        };
        let http2 = Http2 {
            prior_knowledge: true,
            ..Http2::default()
        };
        let config = Config {
            limits,
            http2,
            ..Config::default()
        };
        let proxy = Proxy::new(config, target.clone(), Arc::new(Nobody));
        let table = (0..routes).map(|number| Route {
            prefix: format!("/user/u{number}/"),
            id: format!("u{number}"),
            target: target.clone(),
            access: RouteAccess::Open,
            owner: format!("u{number}"),
        });
        proxy.set_routes(RouteTable::new(table.collect())?);
        let listener = tokio::net::TcpListener::bind(listen.as_str()).await?;
        proxy.run(listener, std::future::pending()).await;
        Ok(())
    })
}
