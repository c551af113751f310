//! What is asked of every page: access for everybody, weight, speed, and nothing to complain of.

use std::path::Path;

use serde_json::{Value, json};

use super::Browser;

/// Where `dev/axe` puts the pinned axe-core.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/dev/axe/axe.min.js");

/// Something on a page that keeps people out.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The rule of axe-core.
    pub rule: String,
    /// What it asks for.
    pub help: String,
    /// The elements that break it, each with what is wrong.
    pub elements: Vec<String>,
}

/// What it took to load a page.
#[derive(Clone, Debug)]
pub struct Load {
    /// Bytes of the page and all that it loads, uncompressed.
    pub weight: u64,
    /// Milliseconds from the request until something of it was seen.
    pub first_paint: f64,
    /// The addresses of all that it asked for, itself first.
    pub addresses: Vec<String>,
}

impl Browser {
    /// What axe-core finds on the page, with all its rules, and the sizes of targets.
    pub async fn axe(&self) -> Vec<Violation> {
        let source = std::fs::read_to_string(Path::new(AXE));
        let source =
            source.unwrap_or_else(|error| panic!("run dev/axe, which fetches axe-core: {error}"));
        // By the browser's own protocol: no page of ours would let in a script from elsewhere.
        if self.run("return typeof axe === 'undefined';", Vec::new()).await == Value::Bool(true) {
            self.tell("Runtime.evaluate", json!({"expression": source})).await;
        }
        let found = self
            .run(
                // Colours on their way to others are those of no theme.
                "await Promise.all(document.getAnimations().filter((it) => it instanceof CSSTransition)
                     .map((it) => it.finished.catch(() => {})));
                 const {violations} = await axe.run(document, {
                     resultTypes: ['violations'], rules: {'target-size': {enabled: true}},
                 });
                 return violations.map(({id, help, nodes}) => ({id, help, nodes: nodes.map(
                     (node) => `${node.html}: ${node.failureSummary}`)}));",
                Vec::new(),
            )
            .await;
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core: {found}"));
        found.iter().map(Violation::read).collect()
    }

    /// What it took to load the page, once it has been seen.
    pub async fn load(&self) -> Load {
        let load = self
            .run(
                "const deadline = performance.now() + 20000;
                 let paint;
                 while (!(paint = performance.getEntriesByName('first-contentful-paint')[0])) {
                     if (performance.now() > deadline) throw Error('nothing is painted');
                     await new Promise((done) => setTimeout(done, 20));
                 }
                 const parts = [...performance.getEntriesByType('navigation'),
                                ...performance.getEntriesByType('resource')];
                 return {
                     weight: parts.reduce((sum, part) => sum + part.decodedBodySize, 0),
                     paint: paint.startTime,
                     addresses: parts.map((part) => part.name),
                 };",
                Vec::new(),
            )
            .await;
        let (weight, paint) = (load["weight"].as_u64(), load["paint"].as_f64());
        let (Some(weight), Some(first_paint)) = (weight, paint) else {
            panic!("what the page took to load: {load}");
        };
        Load { weight, first_paint, addresses: strings(&load["addresses"]) }
    }

    /// By how many pixels the page is wider than what is seen of it.
    pub async fn overflow(&self) -> i64 {
        let wider = "const root = document.documentElement;
                     return root.scrollWidth - root.clientWidth;";
        self.run(wider, Vec::new()).await.as_i64().expect("a number")
    }

    /// What the pages of all tabs have complained of since the last time: errors of scripts, what could
    /// not be loaded, what the content security policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the log of the pages");
        let serious = log.into_iter().filter(|entry| {
            entry.level == "SEVERE" || entry.message.contains("Content Security Policy")
        });
        serious.map(|entry| entry.message).collect()
    }
}

impl Violation {
    fn read(found: &Value) -> Self {
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Self { rule: text("id"), help: text("help"), elements: strings(&found["nodes"]) }
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
