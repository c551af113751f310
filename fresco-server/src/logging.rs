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

fn is_safe(event: &Metadata<'_>) -> bool {
    *event.level() <= most(event.target())
}

/// How much a part of the program may say, whatever the configuration asks for.
fn most(target: &str) -> Level {
    let mut names = target.split("::");
    match (names.next().unwrap_or(""), names.next()) {
        // Below this level they show what they send: containers' variables, SQL's parameters.
        ("bollard" | "hyper" | "h2" | "tokio_postgres", _) => Level::INFO,
        // It notes each connection that ends, also one that was only kept open.
        ("poem", Some("server")) => Level::WARN,
        _ => Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_no_more_than_is_safe_and_of_use() {
        assert_eq!(most("poem::server"), Level::WARN);
        assert_eq!(most("tokio_postgres::query"), Level::INFO);
        assert_eq!(most("hyper"), Level::INFO);
        for target in ["poem::panic", "poem", "fresco_server::serve", "hyperion", ""] {
            assert_eq!(most(target), Level::TRACE, "{target}");
        }
    }
}
