//! The server's own program, where the tests can find it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    fresco_server::run(std::env::args_os()).await
}
