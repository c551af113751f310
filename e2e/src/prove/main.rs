//! `dev/prove`: on the platform of dev/up that runs, what it promises is tried for real, and told as a
//! table. Two other tasks are those of its own containers, in a tenant's network.
#![allow(clippy::print_stdout, reason = "it speaks to a person")]

mod attempts;
mod docker;
mod kill;
mod network;
mod platform;
mod relay;
mod screen;
mod trap;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use fresco_isolation::{Outcome, Table, Wrong};
use tokio::signal::unix::{SignalKind, signal};

use self::docker::Docker;
use self::platform::{Place, Platform};
use self::trap::Trap;

/// Takes away all that this made, and what a run before left that was killed.
async fn clean(place: &Place) -> Result<(), Wrong> {
    let trap = Trap::remove(place).await;
    let platform = Platform::sign_in(place).await?;
    let tenants = platform.destroy_all().await;
    let docker = Docker::remove_all(place).await;
    trap.and(tenants).and(docker)
}

async fn prove(place: &Arc<Place>, table: &mut Table) -> Result<(), Wrong> {
    clean(place).await?;
    let others = docker::others(place).await?;
    let docker = Arc::new(Docker::pack(place).await?);
    let platform = Arc::new(Platform::sign_in(place).await?);
    screen::heading("kill -9, in the middle of a deploy");
    let tenant = kill::story(place, &platform, table).await?;
    network::rows(place, &docker, &platform, &tenant, table).await;
    attempts::rows(place, &docker, &platform, table).await;
    screen::heading("afterwards");
    table.part = "platform".into();
    platform.destroy_all().await?;
    attempts::left(place, &others, table).await;
    Ok(())
}

/// What goes wrong before or between the attempts is a row as well.
async fn run(place: &Arc<Place>, table: &mut Table) {
    if let Err(Wrong(words)) = prove(place, table).await {
        let row = (fresco_isolation::Expected::Works, Outcome::Wrong(words));
        table.add(row.0, "go through all attempts", row.1);
    }
}

async fn all() -> Result<ExitCode, Wrong> {
    let (begun, place) = (Instant::now(), Arc::new(Place::from_env()?));
    let mut table = Table::telling(screen::row);
    let mut terminated = signal(SignalKind::terminate())?;
    let interrupted = tokio::select! {
        () = run(&place, &mut table) => false,
        _ = tokio::signal::ctrl_c() => true,
        _ = terminated.recv() => true,
    };
    println!("\n==> taking away what this made");
    // Whoever is in a hurry leaves it to the next run.
    tokio::select! {
        cleaned = clean(&place) => cleaned?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
    }
    if interrupted {
        println!("==> interrupted: the platform is as it was");
        return Ok(ExitCode::from(130));
    }
    screen::end(&place, &table, begun.elapsed())
}

fn main() -> ExitCode {
    let task: Vec<String> = std::env::args().skip(1).collect();
    match task.first().map(String::as_str) {
        Some(docker::PROBE) => return fresco_docker::run_network_probe(),
        Some(docker::RELAY) => return relay::run(task.get(1).map_or("", String::as_str)),
        _ => {}
    }
    let ended = tokio::runtime::Runtime::new().map_err(Wrong::from);
    match ended.and_then(|runtime| runtime.block_on(all())) {
        Ok(code) => code,
        Err(Wrong(words)) => {
            println!("error: {words}");
            ExitCode::FAILURE
        }
    }
}
