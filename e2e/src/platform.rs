//! A platform of its own process, so that a test can kill it: it works on whatever the store holds.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a part of the tests")]

use fresco_e2e::Wiring;

#[tokio::main]
async fn main() {
    let (backends, _) = Wiring::from_env().backends().await.expect("the real stack");
    let orchestrator = Wiring::orchestrator(backends, |_| {}).await.expect("an orchestrator");
    let _workers = orchestrator.start();
    println!("working");
    std::future::pending::<()>().await;
}
