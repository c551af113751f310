//! The program: see `fresco-server --help`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    fresco_server::run(std::env::args_os()).await
}
