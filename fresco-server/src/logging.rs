//! The log, on standard error.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Config;

/// Starts to log, as the configuration says.
pub fn start(config: &Config) {
    // The configuration has parsed it before.
    let filter = EnvFilter::builder().parse_lossy(&config.log);
    let colour = io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(colour);
    let layer = if config.log_json { layer.json().boxed() } else { layer.boxed() };
    // A second start, as in a test, changes nothing.
    let _ =
        tracing_subscriber::registry().with(filter).with(filter_fn(is_safe)).with(layer).try_init();
}

/// Below this level some libraries show what they send: containers' variables, SQL's parameters.
fn is_safe(event: &Metadata<'_>) -> bool {
    let talkative = ["bollard", "hyper", "h2", "tokio_postgres"];
    let library = event.target().split("::").next().unwrap_or("");
    *event.level() <= Level::INFO || !talkative.contains(&library)
}
