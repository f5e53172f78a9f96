//! The API's document: of every route, and the one in the repository.

use std::path::Path;

use lyceum_hub::api::openapi;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::openapi::Described;
use serde_json::Value;

use crate::kit::header;

/// What is served beside the hub; it is in the document that people read.
const BESIDE: &[Described] = &[lyceum_exchange::api::native::DESCRIBED];
const FILE: &str = "../../docs/developer/openapi.json";

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_api_is_in_its_document() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let faults = openapi::faults(&hub.routes, &[]);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let answer = hub.client().get(openapi::PATH).await.expect(200);
    assert!(header(&answer, "content-type").starts_with("application/openapi+json"));
    let served: Value = answer.json();
    assert_eq!(served, openapi::document(&Default::default(), &[]));
    let paths = served["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .filter_map(Value::as_object)
        .map(|path| path.len())
        .sum::<usize>();
    let routes = hub.routes.iter().filter(|route| openapi::is_api(route));
    assert_eq!(operations, routes.count(), "one operation for each route");
    assert!(operations > 50, "{operations}");
}

#[test]
fn the_document_in_the_repository_is_the_one_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let told = serde_json::to_string_pretty(&openapi::document(&Default::default(), BESIDE))
        .expect("JSON")
        + "\n";
    if std::env::var_os("LYCEUM_UPDATE").is_some() {
        std::fs::write(&file, &told).expect("written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == told,
        "docs/developer/openapi.json is not what the hub serves; look at the difference after\n\
         LYCEUM_UPDATE=1 cargo test -p lyceum-hub --test it the_document_in_the_repository"
    );
}

#[test]
fn references_lead_somewhere_and_names_are_given_once() {
    let document = openapi::document(&Default::default(), BESIDE);
    let mut references = Vec::new();
    find_references(&document, &mut references);
    assert!(references.len() > 100);
    // Routes of the program that are described elsewhere, and where.
    let tags = document["tags"].to_string();
    for said in ["/services/ngshare/", "docs/admin/exchange.md"] {
        assert!(tags.contains(said), "{said} in {tags}");
    }
    for reference in references {
        let place = reference.trim_start_matches('#');
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    let operations = document["paths"].as_object().expect("paths").values();
    let mut ids: Vec<&str> = operations
        .filter_map(Value::as_object)
        .flat_map(|path| path.values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an operationId is used twice: {ids:?}");
}

fn find_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|one| find_references(one, found));
        }
        Value::Array(list) => list.iter().for_each(|one| find_references(one, found)),
        _ => {}
    }
}
