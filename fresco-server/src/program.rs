//! The whole program, from its command line to its exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use fresco_core::{Error, ErrorKind};

use crate::cli::{self, Task};
use crate::config::Config;
use crate::serve::ServeError;
use crate::{audit, compose, doctor, logging, serve};

/// The exit code for wrong settings, as for a wrong command line.
const USAGE: u8 = 2;

/// Runs the program: 0 when all went well, 2 for a wrong command line or wrong settings, else 1.
/// Problems are told on standard error.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (task, mut values) = match cli::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // `--help` and `--version` come this way, too, and go to standard output.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let filled = values.fill_from_process(Path::new("."));
    let config = filled.and_then(|()| Config::read(&values).map_err(|error| error.to_string()));
    let config = match config {
        Ok(config) => config,
        Err(problem) => {
            tell(&problem);
            return ExitCode::from(USAGE);
        }
    };
    let done = match task {
        Task::Doctor => {
            let mut out = io::stdout();
            let colours = out.is_terminal();
            // Who reads the answer has gone: nobody is left to tell.
            return doctor::run(&config, &values, &mut out, colours)
                .await
                .unwrap_or(ExitCode::FAILURE);
        }
        Task::Firewall => compose::firewall_rules(&config)
            .await
            .map(|rules| {
                // Who reads it has gone: nobody is left to tell.
                let _ = io::stdout().write_all(rules.as_bytes());
            })
            .map_err(ServeError::Part),
        Task::SetRole(email, role) => {
            logging::start(&config);
            let done = compose::set_role(&config, &email, role).await;
            done.map(|words| {
                // Who reads it has gone: nobody is left to tell.
                let _ = io::stdout().write_all(words.as_bytes());
            })
            .map_err(ServeError::Part)
        }
        Task::DeleteAccount(email) => {
            return say(compose::delete_account(&config, &email).await);
        }
        Task::Invite(email) => return say(compose::invite(&config, &email).await),
        Task::Migrate => {
            logging::start(&config);
            let done = async {
                compose::migrate(&config).await?;
                compose::note_command(&config, "command_migrate").await
            };
            done.await.map_err(ServeError::Part)
        }
        Task::AuditVerify(noted) => {
            let look = async {
                let accounts = compose::open_accounts(&config).await?;
                audit::command::verify(&accounts, noted.as_ref(), &mut io::stdout()).await
            };
            match look.await {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::FAILURE,
                Err(error) => Err(ServeError::Part(error)),
            }
        }
        Task::AuditExport(tenant) => {
            let export = async {
                let accounts = compose::open_accounts(&config).await?;
                audit::command::export(&accounts, tenant, &mut io::stdout()).await
            };
            export.await.map_err(ServeError::Part)
        }
        Task::RotateSecrets => {
            logging::start(&config);
            rotate_secrets(&config).await.map_err(ServeError::Part)
        }
        Task::NetworkProbe => return fresco_docker::run_network_probe(),
        Task::Serve => {
            logging::start(&config);
            serve::serve(config).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn rotate_secrets(config: &Config) -> fresco_core::Result<()> {
    let done = compose::rotate_secrets(config).await?;
    compose::note_command(config, "command_rotate_secrets").await?;
    tracing::info!(tenants = done.tenants, values = done.values, "variables are encrypted anew");
    if done.left == 0 {
        tracing::info!(
            "no variable needs AUTH_SECRET_OLD any more; audit verify does, for what was sealed before"
        );
        return Ok(());
    }
    let words = "a server that still has an earlier AUTH_SECRET writes under it; restart all servers with the new one, and run this again";
    Err(Error::new(ErrorKind::Conflict, words).with("values left", done.left))
}

/// Says what was done for an address. What is wrong is the address more often than a part of the platform.
fn say(done: fresco_core::Result<String>) -> ExitCode {
    match done {
        Ok(words) => {
            // Who reads it has gone: nobody is left to tell.
            let _ = io::stdout().write_all(words.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&error.chain());
            ExitCode::FAILURE
        }
    }
}

fn tell(problem: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {problem}");
}
