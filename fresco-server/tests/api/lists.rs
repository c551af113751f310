//! Pages of tenants.

use serde_json::{Value, json};

use crate::world::{Person, World};

async fn page(person: &Person<'_>, body: Value) -> Value {
    person.call("tenants.list", body).await.good()
}

fn names(page: &Value) -> Vec<String> {
    let tenants = page["tenants"].as_array().unwrap();
    tenants.iter().map(|tenant| tenant["subdomain"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn pages_of_none_one_two_and_fifty() {
    let world = World::new().await;
    let (person, other) = (world.person().await, world.person().await);
    other.create(json!({ "subdomain": "not-yours" })).await;
    let mut all: Vec<String> = Vec::new();
    for count in [0, 1, 2, 50] {
        while all.len() < count {
            let name = format!("study-{:02}", all.len());
            person.create(json!({ "subdomain": name })).await;
            all.insert(0, name);
        }
        let first = page(&person, json!({})).await;
        assert_eq!(first["total"], count);
        assert_eq!((&first["page"], &first["pages"]), (&json!(1), &json!(count.div_ceil(20))));
        assert_eq!(names(&first), all[..count.min(20)]);
        // Page by page: no gap, no overlap.
        let mut seen = Vec::new();
        for number in 1..=count.div_ceil(7) {
            let page = page(&person, json!({ "page": number, "limit": 7 })).await;
            assert_eq!(page["pages"], count.div_ceil(7));
            seen.extend(names(&page));
        }
        assert_eq!(seen, all);
        let behind = page(&person, json!({ "page": 51, "limit": 1 })).await;
        assert_eq!((names(&behind).len(), &behind["total"]), (0, &json!(count)));
    }
    let last = page(&person, json!({ "page": u32::MAX, "limit": 100 })).await;
    assert_eq!(last["tenants"], json!([]));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn filters() {
    let world = World::new().await;
    let person = world.person().await;
    let stopped = person.tenant("alpha-one").await;
    person.tenant("alpha-two").await;
    person.tenant("beta").await;
    person.act("tenants.stop", json!({ "tenantId": stopped })).await;
    for (filter, expected) in [
        (json!({ "search": "alpha" }), vec!["alpha-two", "alpha-one"]),
        (json!({ "search": " ALPHA " }), vec!["alpha-two", "alpha-one"]),
        (json!({ "search": "-" }), vec!["alpha-two", "alpha-one"]),
        (json!({ "search": "" }), vec!["beta", "alpha-two", "alpha-one"]),
        (json!({ "status": "stopped" }), vec!["alpha-one"]),
        (json!({ "status": "active", "search": "a" }), vec!["beta", "alpha-two"]),
        (json!({ "status": "destroyed" }), vec![]),
        (json!({ "search": "%" }), vec![]),
        (json!({ "search": "_" }), vec![]),
        (json!({ "search": "a\u{0}b" }), vec![]),
        (json!({ "search": "x".repeat(10_000) }), vec![]),
    ] {
        assert_eq!(names(&page(&person, filter.clone()).await), expected, "{filter:.100}");
    }
    for (filter, field) in [
        (json!({ "page": 0 }), "page"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": 101 }), "limit"),
    ] {
        assert_eq!(person.call("tenants.list", filter).await.wrong_field(), field);
    }
    for filter in [json!({ "page": -1 }), json!({ "limit": 1.5 }), json!({ "status": "gone" })] {
        let answer = person.call("tenants.list", filter).await;
        assert_eq!(answer.problem(400), "invalid_request");
    }
}
