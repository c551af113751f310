//! The switches that make the app behave badly on purpose.

use std::future::pending;
use std::hint::black_box;
use std::time::Duration;

use crate::config::Switches;
use crate::log;

/// Memory is taken in steps of this many MB (of 1024 × 1024 bytes), so that the log shows how far it came.
const STEP_MB: usize = 8;
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// What happens before the migration. `Some(code)`: the app exits with it.
pub(crate) async fn at_boot(switches: &Switches) -> Option<u8> {
    if let Some(code) = switches.exit_at_boot {
        log::info("loading the study protocol");
        log::error("the study protocol cannot be read");
        log::error(format!("exiting with {code}, as APP_EXIT_AT_BOOT asks"));
        return Some(code);
    }
    if let Some(delay) = switches.boot_delay {
        log::info(format!("booting for {} s", delay.as_secs_f64()));
        tokio::time::sleep(delay).await;
    }
    None
}

/// What happens once the app is ready. Returns the exit code if the app is to end by itself, else never.
pub(crate) async fn after_ready(switches: &Switches) -> u8 {
    tokio::select! {
        code = exit_after(switches.exit_after) => code,
        never = eat_memory(switches.eat_memory_mb) => match never {},
    }
}

async fn exit_after(delay: Option<Duration>) -> u8 {
    let Some(delay) = delay else {
        return pending().await;
    };
    tokio::time::sleep(delay).await;
    log::error("exiting with 1, as APP_EXIT_AFTER asks");
    1
}

async fn eat_memory(target: Option<usize>) -> std::convert::Infallible {
    let target = target.unwrap_or(0);
    let mut kept = Vec::new();
    let mut eaten = 0;
    while eaten < target {
        let step = STEP_MB.min(target - eaten);
        // Bytes other than zero: the kernel gives untouched zero pages away for nothing.
        kept.push(black_box(vec![1_u8; step * 1024 * 1024]));
        eaten += step;
        log::info(format!("took {eaten} MB of {target} MB of memory"));
        tokio::time::sleep(STEP_PAUSE).await;
    }
    // `kept` is owned, and so the memory taken, for as long as this waits.
    pending().await
}
