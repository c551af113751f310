//! Every page that the server has, as people see it: in a real browser, light and dark, on a desk and
//! on a telephone.

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, Load, PHONE, Theme, Violation};
use fresco_e2e::sights::Sight;
use fresco_e2e::site::{DOMAIN, Site, Who};

use crate::service::PROGRAM;

/// Bytes of a page with all that it loads.
const MOST_WEIGHT: u64 = 100_000;
/// Milliseconds until something of a page is seen.
const MOST_WAIT: f64 = 500.0;
/// How often that is tried at once.
const TRIES: u32 = 9;
/// How often it is tried so, the later times after all others: what disturbs a machine goes by.
const ROUNDS: u32 = 3;

pub(crate) async fn every_page_is_for_everybody(stack: &Stack) {
    let (mut site, mut eyes) = (Site::start(PROGRAM, stack).await, Eyes::open().await);
    let mut faults = Vec::new();
    for sight in site.sights().await {
        for size in [DESKTOP, PHONE] {
            let found = eyes.look(&mut site, &sight, size).await;
            faults
                .extend(found.into_iter().map(|fault| format!("{}: {fault}", named(&sight, size))));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    eyes.browser.close().await;
    site.stop().await;
}

/// Something of each page is seen at once. To be run with nothing beside it.
pub(crate) async fn every_page_is_seen_at_once(stack: &Stack) {
    let (mut site, mut eyes) = (Site::start(PROGRAM, stack).await, Eyes::open().await);
    let mut sights = site.sights().await;
    // What comes of an act is no first load.
    sights.retain(|sight| sight.acts.is_empty());
    let pages = sights.iter().flat_map(|sight| [(sight, DESKTOP), (sight, PHONE)]);
    let mut late: Vec<_> = pages.map(|(sight, size)| (sight, size, f64::MAX)).collect();
    for _ in 0..ROUNDS {
        let mut still = Vec::new();
        for (sight, size, least) in late {
            let first = eyes.show(&mut site, sight, size).await.first_paint;
            let wait = least_wait(&eyes.browser, first).await.min(least);
            if wait >= MOST_WAIT {
                still.push((sight, size, wait));
            }
        }
        late = still;
    }
    let late: Vec<_> = late
        .into_iter()
        .map(|(sight, size, wait)| format!("{}: nothing for {wait:.0} ms", named(sight, size)))
        .collect();
    assert!(late.is_empty(), "{} pages are late:\n{}", late.len(), late.join("\n"));
    eyes.browser.close().await;
    site.stop().await;
}

fn named(sight: &Sight, size: (u32, u32)) -> String {
    format!("{} ({}, {} wide)", sight.name, sight.who.name(), size.0)
}

/// A browser, and who sits before it.
struct Eyes {
    browser: Browser,
    present: Option<Who>,
}

impl Eyes {
    async fn open() -> Self {
        Self { browser: Browser::start(DOMAIN).await, present: None }
    }

    /// Looks at something in its light theme, as if for the first time.
    async fn show(&mut self, site: &mut Site<'_>, sight: &Sight, size: (u32, u32)) -> Load {
        site.serve(sight.setup).await;
        let browser = &self.browser;
        if self.present != Some(sight.who) {
            site.enter(browser, sight.who).await;
            self.present = Some(sight.who);
        }
        browser.theme(Theme::Light).await;
        browser.resize(size).await;
        // What the page before complains of until it is left is not this one's.
        browser.goto("about:blank").await;
        browser.complaints().await;
        browser.forget_files().await;
        sight.show(site, browser).await;
        if sight.ends_session() {
            self.present = None;
        }
        browser.load().await
    }

    /// What is wrong with it.
    async fn look(&mut self, site: &mut Site<'_>, sight: &Sight, size: (u32, u32)) -> Vec<String> {
        let load = self.show(site, sight, size).await;
        let browser = &self.browser;
        let mut found = faults_of_load(&load, &site.origin(sight.setup));
        found.extend(violations(browser.axe().await));
        let wider = browser.overflow().await;
        if wider > 0 {
            found.push(format!("it is {wider} pixels wider than the window"));
        }
        // Not loaded again: a theme is the style sheet's alone, which follows the visitor's at once.
        browser.theme(Theme::Dark).await;
        found.extend(violations(browser.axe().await).map(|fault| format!("dark: {fault}")));
        let mut complaints = browser.complaints().await;
        complaints.retain(|told| !sight.complains.iter().any(|known| told.contains(known)));
        found.extend(complaints.into_iter().map(|told| format!("the browser complains: {told}")));
        found
    }
}

fn faults_of_load(load: &Load, origin: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if load.weight > MOST_WEIGHT {
        faults.push(format!("{} bytes: {:?}", load.weight, load.addresses));
    }
    let elsewhere = load.addresses.iter().filter(|address| !address.starts_with(origin));
    faults.extend(elsewhere.map(|address| format!("it asks for {address}")));
    faults
}

fn violations(found: Vec<Violation>) -> impl Iterator<Item = String> {
    found.into_iter().map(|Violation { rule, help, elements }| {
        format!("{rule}: {help}\n    {}", elements.join("\n    "))
    })
}

/// Milliseconds until something of the page is seen. Of some tries one is not disturbed by what else this
/// machine does; of a page that is slow by itself, none is fast.
async fn least_wait(browser: &Browser, first: f64) -> f64 {
    let mut least = first;
    for _ in 1..TRIES {
        if least < MOST_WAIT {
            break;
        }
        browser.forget_files().await;
        browser.reload().await;
        least = least.min(browser.load().await.first_paint);
    }
    least
}
