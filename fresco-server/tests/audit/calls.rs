//! Of every call it is decided whether it is written down.

use std::collections::BTreeSet;

use fresco_server::AUDITED_CALLS;
use serde_json::Value;

#[test]
fn of_every_call_it_is_decided_whether_it_is_written_down() {
    let document: Value = serde_json::from_str(&fresco_server::openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let calls = paths.flat_map(|methods| methods.as_object().unwrap().values());
    let calls: BTreeSet<&str> = calls.map(|call| call["operationId"].as_str().unwrap()).collect();
    let decided: BTreeSet<&str> = AUDITED_CALLS.iter().map(|(call, _)| *call).collect();
    assert_eq!(decided.len(), AUDITED_CALLS.len(), "of a call it is decided twice");
    let missing: Vec<_> = calls.difference(&decided).collect();
    assert!(missing.is_empty(), "say in src/audit/calls.rs whether these are audited: {missing:?}");
    let gone: Vec<_> = decided.difference(&calls).collect();
    assert!(gone.is_empty(), "there are no calls {gone:?}");
}
