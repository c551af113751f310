//! Mends that are printed, really done; and what the program says of settings before it does anything.

use std::io;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use fresco_core::PlatformId;
use fresco_ports::free_port;
use fresco_postgres::{PostgresTenants, PostgresTenantsConfig};

use crate::Folder;
use crate::stack::{PASSWORD, Stack, nowhere};

/// Runs a script with the program at hand and these settings in the environment.
fn sh(folder: &Folder, script: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env_clear().current_dir(&folder.0);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PROGRAM", env!("CARGO_BIN_EXE_fresco-server"));
    command.envs(nowhere().with("DOCKER_HOST", "/nowhere/docker.sock").pairs());
    command.envs(more.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].concat();
    let text = String::from_utf8(text).unwrap();
    println!("{text}");
    assert!(!text.contains("hunter2"));
    (status.code(), text)
}

/// The command that is printed for this setting.
fn mend<'a>(text: &'a str, words: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("$ "));
    lines.find(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words} in {text}"))
}

#[test]
fn a_taken_port_is_moved_where_its_value_comes_from() {
    // The next one is not for connections that go out, either.
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let folder = Folder::new();
    let taken = format!("127.0.0.1:{port} is taken by");

    // The environment wins over the file, so that the file is not what to change.
    let (_, text) = sh(&folder, "\"$PROGRAM\" doctor", &[("PORT", &port)]);
    assert!(text.contains(&taken));
    let export = mend(&text, "PORT=");
    assert!(export.starts_with("export PORT="), "{export}");
    let (_, text) = sh(&folder, &format!("{export}; \"$PROGRAM\" doctor"), &[("PORT", &port)]);
    assert!(!text.contains(&taken) && text.contains("is free for the server"));

    // A file that ends without an end of its last line.
    std::fs::write(folder.0.join(".env"), format!("PORT={port}\nWORKERS=3")).unwrap();
    let from_file = "unset PORT; \"$PROGRAM\" doctor";
    let (_, text) = sh(&folder, from_file, &[]);
    assert!(text.contains(&taken));
    let (_, text) = sh(&folder, &format!("{}; {from_file}", mend(&text, "echo PORT=")), &[]);
    assert!(!text.contains(&taken) && text.contains("is free for the server"));
    let file = std::fs::read_to_string(folder.0.join(".env")).unwrap();
    assert_eq!(file.lines().next(), Some("WORKERS=3"), "{file}");
}

#[test]
fn an_address_that_is_not_here_is_no_port_to_free() {
    let folder = Folder::new();
    // A network for documentation: nobody's.
    let (code, text) = sh(&folder, "\"$PROGRAM\"", &[("LISTEN_ADDRESS", "192.0.2.1")]);
    assert_eq!(code, Some(1));
    assert!(text.contains("LISTEN_ADDRESS") && !text.contains("Stop what uses"), "{text}");
    let (_, text) = sh(&folder, "\"$PROGRAM\" doctor", &[("LISTEN_ADDRESS", "192.0.2.1")]);
    assert_eq!(mend(&text, "LISTEN_ADDRESS"), "export LISTEN_ADDRESS=127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (code, text) = sh(&folder, "\"$PROGRAM\"", &[("PORT", &port)]);
    assert_eq!(code, Some(1));
    assert!(text.contains("Stop what uses that port"), "{text}");
}

#[test]
fn wrong_settings_are_all_told_before_anything_is_done() {
    let wrong = [("DOCKER_HOST", "ftp://x"), ("PORT", "70000"), ("PUBLIC_URL", "")];
    let (code, text) = sh(&Folder::new(), "\"$PROGRAM\"", &wrong);
    assert_eq!(code, Some(2));
    for name in ["DOCKER_HOST", "PORT", "PUBLIC_URL"] {
        assert_eq!(text.matches(&format!("\n  {name} ")).count(), 1, "{name} in {text}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// On one thread: what is logged elsewhere is not seen.
#[tokio::test]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn a_postgresql_that_is_too_old_for_production_is_told_of_by_both() {
    let stack = Stack::start_with("15").await;
    let said = stack.wiring.examine().await;
    let finding = said.finding("PostgreSQL 15");
    assert!(finding.trim_start().starts_with("warning "), "{finding}");
    assert!(finding.contains("production needs 16 or newer") && !finding.contains("$ "));
    assert!(finding.contains("https://www.postgresql.org/docs/"), "{finding}");
    let production = stack
        .wiring
        .with("PUBLIC_URL", "https://fresco.test")
        .with("TRUSTED_PROXIES", "127.0.0.1")
        .with("BASE_DOMAIN", "fresco.test")
        .with("SIGNUP", "open");
    production.examine().await.is_wrong("PostgreSQL 15", &["production needs 16 or newer"]);

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let url = stack.url("fresco_platform_app", PASSWORD, "platform");
    let host = stack.gateway.to_string();
    let config = PostgresTenantsConfig::new(url, PlatformId::new(), host, stack.postgres());
    PostgresTenants::connect(config).await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("WARN") && text.contains("production needs 16 or newer"), "{text}");
    assert!(!text.contains("hunter2"));
}
