//! Every page that the server has, as people see it: in a real browser, light and dark, on a desk and
//! on a telephone.

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, PHONE, Theme};
use fresco_e2e::sights::Sight;
use fresco_e2e::site::{DOMAIN, Site};

use crate::service::PROGRAM;

/// Bytes of a page with all that it loads.
const MOST_WEIGHT: u64 = 100_000;
/// Milliseconds until something of a page is seen.
const MOST_WAIT: f64 = 500.0;
/// How often that is tried.
const TRIES: u32 = 5;

pub(crate) async fn every_page_is_for_everybody(stack: &Stack) {
    let site = Site::start(PROGRAM, stack).await;
    let browser = Browser::start(DOMAIN).await;
    let (mut present, mut faults) = (None, Vec::new());
    for sight in site.sights().await {
        for (theme, size) in [
            (Theme::Light, DESKTOP),
            (Theme::Dark, DESKTOP),
            (Theme::Light, PHONE),
            (Theme::Dark, PHONE),
        ] {
            if present != Some(sight.who) {
                site.enter(&browser, sight.who).await;
                present = Some(sight.who);
            }
            browser.theme(theme).await;
            browser.resize(size).await;
            browser.complaints().await;
            browser.forget_files().await;
            sight.show(&site, &browser).await;
            let found = faults_of(&browser, &site, &sight).await;
            let (name, who) = (&sight.name, sight.who.name());
            faults.extend(found.into_iter().map(|fault| {
                format!("{name} ({who}, {}, {} wide): {fault}", theme.name(), size.0)
            }));
            if sight.ends_session() {
                present = None;
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    browser.close().await;
    site.stop().await;
}

async fn faults_of(browser: &Browser, site: &Site<'_>, sight: &Sight) -> Vec<String> {
    let mut faults = Vec::new();
    let load = browser.load().await;
    if load.weight > MOST_WEIGHT {
        faults.push(format!("{} bytes: {:?}", load.weight, load.addresses));
    }
    let origin = site.origin(sight.setup);
    let elsewhere = load.addresses.iter().filter(|address| !address.starts_with(&origin));
    faults.extend(elsewhere.map(|address| format!("it asks for {address}")));
    for violation in browser.axe().await {
        let elements = violation.elements.join("\n    ");
        faults.push(format!("{}: {}\n    {elements}", violation.rule, violation.help));
    }
    let wider = browser.overflow().await;
    if wider > 0 {
        faults.push(format!("it is {wider} pixels wider than the window"));
    }
    let mut complaints = browser.complaints().await;
    complaints.retain(|told| !sight.complains.iter().any(|known| told.contains(known)));
    faults.extend(complaints.into_iter().map(|told| format!("the browser complains: {told}")));
    // What comes of an act is no first load.
    if sight.acts.is_empty() {
        let wait = least_wait(browser, load.first_paint).await;
        if wait >= MOST_WAIT {
            faults.push(format!("nothing is seen for {wait:.0} ms"));
        }
    }
    faults
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
