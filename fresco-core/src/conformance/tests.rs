//! The suites hold what the ports promise, and nothing is forgotten.

/// Every sentence of the ports' `# Behavior` lists, with continued lines joined.
fn promises(port: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut in_list = false;
    for line in port.lines().map(str::trim) {
        let Some(doc) = line.strip_prefix("///") else {
            in_list = false;
            continue;
        };
        let doc = doc.trim();
        match doc.strip_prefix("- ") {
            _ if doc == "# Behavior" => in_list = true,
            Some(start) if in_list => found.push(start.to_owned()),
            None if in_list => {
                if let Some(last) = found.last_mut() {
                    last.push(' ');
                    last.push_str(doc);
                }
            }
            _ => {}
        }
    }
    found
}

/// The first paragraph of the documentation of every case, and its name.
fn cases(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut doc = Vec::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
            continue;
        }
        if let Some(rest) = line.strip_prefix("pub async fn ") {
            let name = rest.split('<').next().unwrap().to_owned();
            let paragraph = doc.split(|text| text.is_empty()).next().unwrap_or_default();
            found.push((paragraph.join(" "), name));
        }
        doc.clear();
    }
    found
}

fn agree(port: &str, sources: &[&str], names: &[&[&str]]) {
    let mut promised = promises(port);
    let cases: Vec<_> = sources.iter().flat_map(|source| cases(source)).collect();
    let mut kept: Vec<_> = cases.iter().map(|(doc, _)| doc.clone()).collect();
    promised.sort();
    kept.sort();
    assert_eq!(kept, promised, "the cases and the promises of the port");
    let mut written: Vec<_> = cases.iter().map(|(_, name)| name.as_str()).collect();
    let mut listed = names.concat();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, written, "the cases that are run and those that are written");
}

#[test]
fn every_promise_of_a_runtime_is_a_case() {
    let sources = [
        include_str!("runtime/prepare.rs"),
        include_str!("runtime/ensure.rs"),
        include_str!("runtime/life.rs"),
        include_str!("runtime/look.rs"),
        include_str!("runtime/abilities.rs"),
        include_str!("runtime/isolation.rs"),
    ];
    let names = [
        super::runtime::CASES,
        &crate::__runtime_fetch_cases!(__conformance_names),
        &crate::__runtime_metrics_cases!(__conformance_names),
        &crate::__runtime_events_cases!(__conformance_names),
        &crate::__runtime_resize_cases!(__conformance_names),
        &crate::__runtime_isolation_cases!(__conformance_names),
    ];
    let port = concat!(include_str!("../runtime.rs"), include_str!("../isolation.rs"));
    agree(port, &sources, &names);
}

#[test]
fn every_promise_of_a_database_is_a_case() {
    let sources = [
        include_str!("database/ensure.rs"),
        include_str!("database/issue.rs"),
        include_str!("database/remove.rs"),
        include_str!("database/look.rs"),
        include_str!("database/metrics.rs"),
        include_str!("database/dump.rs"),
        include_str!("database/restore.rs"),
    ];
    let names = [
        super::database::CASES,
        &crate::__database_metrics_cases!(__conformance_names),
        &crate::__database_snapshots_cases!(__conformance_names),
    ];
    agree(include_str!("../database.rs"), &sources, &names);
}

#[test]
fn every_promise_of_a_watched_database_is_a_case() {
    let sources = [include_str!("database/watch.rs")];
    let names: [&[&str]; 1] = [&crate::__database_watch_cases!(__conformance_names)];
    agree(include_str!("../database_watch.rs"), &sources, &names);
}

#[test]
fn every_promise_of_a_router_is_a_case() {
    agree(include_str!("../router.rs"), &[include_str!("router.rs")], &[super::router::CASES]);
}

#[test]
fn every_promise_of_a_store_is_a_case() {
    let sources = [
        include_str!("store/create.rs"),
        include_str!("store/quota.rs"),
        include_str!("store/request.rs"),
        include_str!("store/lease.rs"),
        include_str!("store/record.rs"),
        include_str!("store/look.rs"),
        include_str!("store/events.rs"),
    ];
    agree(include_str!("../store.rs"), &sources, &[super::store::CASES]);
}
