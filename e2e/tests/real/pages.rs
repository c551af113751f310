//! Every page that the server has, as people see it: in a real browser, light and dark, on a desk and
//! on a telephone.

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, Load, PHONE, Theme, Violation};
use fresco_e2e::site::{DOMAIN, Site};

use crate::service::PROGRAM;

/// Bytes of a page with all that it loads.
const MOST_WEIGHT: u64 = 100_000;
/// Milliseconds until something of a page is seen.
const MOST_WAIT: f64 = 500.0;
/// How often that is tried.
const TRIES: u32 = 25;

pub(crate) async fn every_page_is_for_everybody(stack: &Stack) {
    let mut site = Site::start(PROGRAM, stack).await;
    let browser = Browser::start(DOMAIN).await;
    let (mut present, mut faults) = (None, Vec::new());
    for sight in site.sights().await {
        site.serve(sight.setup).await;
        let name = format!("{} ({}", sight.name, sight.who.name());
        for size in [DESKTOP, PHONE] {
            if present != Some(sight.who) {
                site.enter(&browser, sight.who).await;
                present = Some(sight.who);
            }
            browser.theme(Theme::Light).await;
            browser.resize(size).await;
            browser.complaints().await;
            browser.forget_files().await;
            sight.show(&site, &browser).await;
            let load = browser.load().await;
            let mut found = faults_of_load(&load, &site.origin(sight.setup));
            found.extend(violations(browser.axe().await));
            let wider = browser.overflow().await;
            if wider > 0 {
                found.push(format!("it is {wider} pixels wider than the window"));
            }
            // Not loaded again: a theme is the style sheet's alone, which follows the visitor's at once.
            browser.theme(Theme::Dark).await;
            let dark = violations(browser.axe().await);
            found.extend(dark.map(|fault| format!("dark: {fault}")));
            let mut complaints = browser.complaints().await;
            complaints.retain(|told| !sight.complains.iter().any(|known| told.contains(known)));
            found.extend(
                complaints.into_iter().map(|told| format!("the browser complains: {told}")),
            );
            // What comes of an act is no first load.
            if sight.acts.is_empty() {
                let wait = least_wait(&browser, load.first_paint).await;
                if wait >= MOST_WAIT {
                    found.push(format!("nothing is seen for {wait:.0} ms"));
                }
            }
            faults.extend(
                found.into_iter().map(|fault| format!("{name}, {} wide): {fault}", size.0)),
            );
            if sight.ends_session() {
                present = None;
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    browser.close().await;
    site.stop().await;
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
