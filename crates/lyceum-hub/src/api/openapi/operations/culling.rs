//! What of servers only Lyceum tells: when they end by themselves, what they take.

use lyceum_model::scope::ScopeName::{ReadServers, StartServers};
use serde_json::json;

use super::super::Operation;
use super::super::schemas::{named, of};
use super::{get, post};
use crate::api::lyceum::servers::{KEEP, LIST};

pub(super) fn servers() -> Vec<Operation> {
    let list = json!({ "servers": { "type": "array", "items": named("ServerState") } });
    let mut all = vec![
        get(
            LIST,
            "list_server_states",
            "Tells of a person's servers: what they were made from, what they take, when they end by themselves.",
        )
        .scopes(&[ReadServers])
        .json(200, "The servers that may be seen", of(&["servers"], list)),
    ];
    for (path, id) in KEEP.into_iter().zip(["keep_server", "keep_named_server"]) {
        all.push(
            post(
                path,
                id,
                "Counts as use of a server that runs, so that it does not end for being idle.",
            )
            .scopes(&[StartServers])
            .empty(204, "It is noted"),
        );
    }
    all.into_iter().map(|one| one.tag("Servers")).collect()
}
