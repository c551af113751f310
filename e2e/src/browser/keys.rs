//! A visitor without a mouse: keys alone. Wherever they lead must be in sight, and marked as the place
//! where the keys go.

use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::action_chain::ActionChain;
use thirtyfour::prelude::*;

use super::{Browser, PATIENCE};

/// More than any page of ours has places for the focus.
const MOST_STOPS: usize = 150;

/// Tells of the element that has the focus: whether it is of a selector, its short description, and what
/// keeps a visitor from seeing that it has the focus.
/// A page that still scrolls there, or is just being drawn again, is given a moment.
const FOCUS: &str = "
    const look = (e) => {
        const faults = [];
        const ringed = [e, e.closest('label')].some((part) => {
            const style = part && getComputedStyle(part);
            return style && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
        });
        if (e.tabIndex >= 0 && !ringed) faults.push('has no ring');
        const hits = [...e.getClientRects()].filter((r) => r.width && r.height).map((r) =>
            [r, document.elementFromPoint(r.left + Math.min(r.width / 2, 100), r.top + r.height / 2)]);
        const seen = hits.some(([, hit]) => hit && (e.contains(hit) || e.closest('label')?.contains(hit)));
        if (!seen) faults.push(`is not seen, but: ${hits.map(([r, hit]) =>
            `at ${r.top} to ${r.bottom} of ${innerHeight} ${hit?.outerHTML.slice(0, 60)}`).join('; ')}`);
        return faults;
    };
    const nothing = (e) => !e || e === document.body || e === document.documentElement;
    const deadline = performance.now() + 5000;
    let e = document.activeElement, faults = [];
    while (!nothing(e) && (faults = look(e)).length && performance.now() < deadline) {
        await new Promise((done) => requestAnimationFrame(done));
        e = document.activeElement;
    }
    if (nothing(e)) return {there: false, what: 'nothing', faults: []};
    const words = (e.getAttribute('aria-label') ?? e.innerText ?? '').trim().slice(0, 40);
    const what = `${e.tagName.toLowerCase()}${e.id && '#' + e.id}[${e.name ?? ''}] “${words}”`;
    const there = Boolean(args[0]) && e.matches(args[0]);
    const visited = (window.visited ??= new Set());
    const again = visited.has(e);
    visited.add(e);
    return {there, again, what, faults};";

/// The places of a page that keys must reach and did not. Of a group of radio buttons they reach one.
const MISSED: &str = "
    const places = 'a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary, [tabindex=\"0\"]';
    return [...document.querySelectorAll(places)]
        .filter((e) => e.checkVisibility({visibilityProperty: true}) && !e.disabled && !window.visited.has(e))
        .map((e) => e.outerHTML.slice(0, 120));";

/// Of the parts of a page that are drawn again while it is looked at: what could not get the focus back.
const NAMELESS: &str = "
    const places = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]';
    const named = (e) => e.id && document.querySelectorAll('#' + CSS.escape(e.id)).length === 1;
    const parts = document.querySelectorAll('#instance, #instances, #views, #deployment[data-state]');
    return [...parts].flatMap((part) => [...part.querySelectorAll(places)].filter((e) => !named(e))
        .concat([...part.querySelectorAll('details')].filter((e) => !named(e))))
        .map((e) => e.outerHTML.slice(0, 120));";

#[derive(Clone, Copy, Debug)]
enum Way {
    On,
    Back,
}

impl Browser {
    /// Presses keys where the focus is, one after another: `Key::Tab`, or text.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        self.keys().send_keys(keys.into()).perform().await.expect("keys");
    }

    fn keys(&self) -> ActionChain {
        self.driver.action_chain_with_delay(Some(Duration::ZERO), Some(Duration::ZERO))
    }

    async fn step(&self, way: Way) {
        let keys = match way {
            Way::On => self.keys().send_keys(Key::Tab),
            Way::Back => self.keys().key_down(Key::Shift).send_keys(Key::Tab).key_up(Key::Shift),
        };
        keys.perform().await.expect("keys");
    }

    /// Goes on by the tabulator to the first element of this selector. Each stop on the way must be seen.
    pub async fn tab_to(&self, selector: &str) {
        self.walk_to(selector, Way::On).await;
    }

    /// The same backwards.
    pub async fn tab_back_to(&self, selector: &str) {
        self.walk_to(selector, Way::Back).await;
    }

    async fn walk_to(&self, selector: &str, way: Way) {
        self.run("window.visited = new Set();", Vec::new()).await;
        let mut stops = Vec::new();
        loop {
            self.step(way).await;
            let focus = self.focus(selector).await;
            if focus["there"] == true {
                return;
            }
            if focus["again"] == true {
                break;
            }
            stops.push(focus["what"].clone());
        }
        panic!("no key leads to {selector} on {}: {stops:#?}", self.url().await);
    }

    /// Waits until an element of this selector has the focus, and is seen to have it.
    pub async fn wait_for_focus(&self, selector: &str) {
        let wait = "const deadline = performance.now() + args[1];
                    while (!document.activeElement?.matches(args[0])) {
                        if (performance.now() > deadline) return document.activeElement?.outerHTML.slice(0, 200);
                        await new Promise((done) => setTimeout(done, 20));
                    }
                    return null;";
        let millis = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX) / 2;
        let instead = self.run(wait, vec![json!(selector), json!(millis)]).await;
        assert_eq!(instead, Value::Null, "{selector} has no focus on {}", self.url().await);
        self.focus(selector).await;
    }

    /// Waits until somebody has scrolled within the first element of this selector.
    pub async fn scrolled(&self, selector: &str) {
        let wait =
            "const box = document.querySelector(args[0]), deadline = performance.now() + 20000;
                    while (!box.scrollTop) {
                        if (performance.now() > deadline) throw Error('it is not scrolled');
                        await new Promise((done) => setTimeout(done, 20));
                    }
                    return true;";
        assert_eq!(self.run(wait, vec![json!(selector)]).await, json!(true), "{selector}");
    }

    /// What has the focus. It must be seen.
    async fn focus(&self, selector: &str) -> Value {
        let focus = self.run(FOCUS, vec![json!(selector)]).await;
        let faults = focus["faults"].as_array().unwrap_or_else(|| panic!("the focus: {focus}"));
        assert!(faults.is_empty(), "{}: {focus:#}", self.url().await);
        focus
    }

    /// Goes once round the page, on and then back: every place of it is reached, seen, and left again.
    /// What is drawn again while it is looked at can get the focus back.
    pub async fn go_round(&self) {
        let url = self.url().await;
        for way in [Way::On, Way::Back] {
            self.run("document.activeElement.blur(); window.visited = new Set();", Vec::new())
                .await;
            let mut stops = Vec::new();
            loop {
                self.step(way).await;
                let focus = self.focus("").await;
                if focus["again"] == true {
                    break;
                }
                stops.push(focus["what"].clone());
                assert!(stops.len() < MOST_STOPS, "{url}, {way:?}: no end: {stops:#?}");
            }
            let missed = self.run(MISSED, Vec::new()).await;
            assert_eq!(missed, json!([]), "{url}, {way:?}: not reached, but {stops:#?}");
        }
        let nameless = self.run(NAMELESS, Vec::new()).await;
        assert_eq!(nameless, json!([]), "{url}: these lose the focus when they are drawn again");
    }
}
