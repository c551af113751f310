//! The API's description: the committed file is what the code says, and every call is described.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;

use serde_json::{Value, json};

fn document() -> Value {
    serde_json::from_str(&fresco_server::openapi_document()).unwrap()
}

/// Every call: its path, its method and its description.
fn calls(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, call)| (path.clone(), method.clone(), call))
    });
    calls.collect()
}

/// `/api/tenants.getLogs` → `tenants_get_logs`, `/api/operations/{id}/events` → `operations_events`.
fn expected_id(path: &str) -> String {
    let parts = path.trim_start_matches("/api/").split(['/', '.']);
    let words = parts.filter(|part| !part.is_empty() && !part.starts_with('{'));
    let mut id = String::new();
    for letter in words.collect::<Vec<_>>().join("_").chars() {
        if letter.is_uppercase() {
            id.push('_');
        }
        id.extend(letter.to_lowercase());
    }
    id
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.json");
    let now = fresco_server::openapi_document() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == now {
        return;
    }
    let (old, new) = (committed.lines(), now.lines());
    let line = old.zip(new).take_while(|(old, new)| old == new).count() + 1;
    panic!(
        "openapi.json differs from the code, first at line {line}. If the change is meant, run:\n  \
         UPDATE_OPENAPI=1 cargo test -p fresco-server --test openapi"
    );
}

#[test]
fn every_call_has_its_name_and_a_description() {
    let document = document();
    let calls = calls(&document);
    assert!(calls.len() >= 12, "there are {} calls", calls.len());
    for (path, method, call) in calls {
        assert_eq!(call["operationId"], expected_id(&path), "{path}");
        let streams = path.contains('{') || path == "/health";
        assert_eq!(method, if streams { "get" } else { "post" }, "{path}");
        for part in ["summary", "description"] {
            assert!(call[part].as_str().is_some_and(|text| !text.is_empty()), "{path}: {part}");
        }
        assert_eq!(call["tags"].as_array().map(Vec::len), Some(1), "{path}: tags");
    }
}

#[test]
fn every_call_has_one_kind_of_success_and_one_kind_of_error() {
    let document = document();
    for (path, _, call) in calls(&document) {
        let responses = call["responses"].as_object().unwrap();
        let (good, bad): (Vec<_>, Vec<_>) =
            responses.iter().partition(|(status, _)| status.starts_with('2'));
        assert_eq!(good.len(), 1, "{path}: {responses:?}");
        let statuses: Vec<_> = bad.iter().map(|(status, _)| status.as_str()).collect();
        if path == "/health" {
            // Its failure is the same report, told by the status.
            assert_eq!(statuses, ["503"]);
            continue;
        }
        assert_eq!(statuses, ["4XX", "5XX"], "{path}");
        for (_, response) in bad {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{path}");
        }
    }
}

#[test]
fn every_field_is_described() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(fields) = schema["properties"].as_object() else { continue };
        for (field, of) in fields {
            let described = of["description"].is_string() || of["$ref"].is_string();
            let all = of["allOf"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["description"].is_string()));
            assert!(described || all, "{name}.{field}: {of}");
        }
    }
}

/// Of a stream the document tells what an event's data says, and what an event is.
#[test]
fn every_stream_tells_of_its_events() {
    let document = document();
    let mut streams = Vec::new();
    for (path, _, call) in calls(&document) {
        let stream = &call["responses"]["200"]["content"]["text/event-stream"]["schema"];
        if stream.is_null() {
            continue;
        }
        let [data, event] = &stream["anyOf"].as_array().unwrap()[..] else {
            panic!("{path}: {stream}")
        };
        assert_eq!(event["type"], "object", "{path}");
        assert_eq!(event["required"], json!(["event", "data"]), "{path}");
        for field in ["id", "event", "data"] {
            assert_eq!(event["properties"][field]["type"], "string", "{path}: {field}");
        }
        streams.push((path, data["$ref"].as_str().unwrap()));
    }
    streams.sort();
    let schemas = ["Operation", "LogEvent"].map(|name| format!("#/components/schemas/{name}"));
    let expected = [
        ("/api/operations/{id}/events".to_owned(), &*schemas[0]),
        ("/api/tenants/{id}/logs".to_owned(), &*schemas[1]),
    ];
    assert_eq!(streams, expected);
}
