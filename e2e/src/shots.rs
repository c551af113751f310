//! Pictures of everything that there is to see: `fresco-shots FOLDER`, on a stack of its own.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool of the developers: what is missing ends it, with a clear word"
)]

use std::path::PathBuf;

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, PHONE, Theme};
use fresco_e2e::site::{DOMAIN, Site};

#[tokio::main]
async fn main() {
    let mut words = std::env::args_os().skip(1);
    let folder = PathBuf::from(words.next().expect("usage: fresco-shots FOLDER [NAME…]"));
    let names: Vec<String> = words.map(|name| name.to_string_lossy().into_owned()).collect();
    let program = std::env::current_exe().expect("the path of this program");
    let program = program.with_file_name("fresco-e2e-server");
    let stack = Stack::start().await;
    let mut site = Site::start(&program.to_string_lossy(), &stack).await;
    let browser = Browser::start(DOMAIN).await;
    let mut present = None;
    for sight in site.sights().await {
        if !names.is_empty() && !names.contains(&sight.name) {
            continue;
        }
        site.serve(sight.setup).await;
        for (device, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
            for theme in [Theme::Light, Theme::Dark] {
                if present != Some(sight.who) {
                    site.enter(&browser, sight.who).await;
                    present = Some(sight.who);
                }
                browser.theme(theme).await;
                browser.resize(size).await;
                sight.show(&site, &browser).await;
                let file = folder.join(format!("{}-{}-{device}.png", sight.name, theme.name()));
                browser.screenshot(&file).await;
                println!("{}", file.display());
                if sight.ends_session() {
                    present = None;
                }
            }
        }
    }
    browser.close().await;
    site.stop().await;
    stack.stop().await;
}
