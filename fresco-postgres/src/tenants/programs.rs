//! PostgreSQL's own programs, as child processes.

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// The most that a program may take to tell its version.
const VERSION: Duration = Duration::from_secs(10);
/// Of what a program says about its failure, the most bytes that an error tells.
const LAST_WORDS: usize = 2000;

/// A program, found and new enough.
pub(super) struct Program {
    path: PathBuf,
}

impl Program {
    /// The program of this name, which must not be older than the server.
    pub(super) async fn find(name: &str, folder: Option<&Path>, server: i32) -> Result<Self> {
        let path = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let server = server / 10_000;
        let unusable = |why: String| {
            Error::new(
                ErrorKind::Unsupported,
                format!("{why}; install PostgreSQL's client programs of version {server} or newer, and name their folder in the configuration"),
            )
            .with("program", path.display())
        };
        let output = command(&path).arg("--version").stdin(Stdio::null()).output();
        let output = match tokio::time::timeout(VERSION, output).await {
            Ok(Ok(output)) => output,
            Ok(Err(e)) => return Err(unusable(format!("{name} can't be run")).with_source(e)),
            Err(_) => return Err(unusable(format!("{name} does not tell its version"))),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        match major(&text) {
            Some(version) if version >= server => Ok(Self { path }),
            Some(version) => Err(unusable(format!(
                "{name} {version} is older than the server, PostgreSQL {server}"
            ))),
            None => Err(unusable(format!("{name} does not tell its version"))),
        }
    }

    /// Runs it with these arguments and variables. It is killed when what this returns is dropped.
    pub(super) fn run(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: Stdio,
    ) -> Result<Running> {
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "a program of PostgreSQL can't be run")
                .with("program", self.path.display())
                .with_source(e)
        };
        let mut child = command(&self.path)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let piped = child.stdout.take().zip(child.stderr.take());
        let (output, errors) =
            piped.ok_or_else(|| failed(std::io::Error::other("no pipe to it")))?;
        let words = tokio::spawn(last_words(errors));
        Ok(Running { child, output, words })
    }
}

/// A child process. It gets nothing of this program's environment, which may hold secrets.
fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("LC_ALL", "C").kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// The first number of `pg_dump (PostgreSQL) 18.4 (Debian …)`.
fn major(text: &str) -> Option<i32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A program that runs, and what it writes.
pub(super) struct Running {
    child: Child,
    pub(super) output: ChildStdout,
    words: JoinHandle<String>,
}

impl Running {
    /// Waits for its end, once all that it writes was read; an error tells how it failed.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        let status = self.child.wait().await.map_err(|e| e.to_string())?;
        let words = (&mut self.words).await.unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false if words.is_empty() => Err(status.to_string()),
            false => Err(words),
        }
    }
}

/// The end of what is written here, in one line.
async fn last_words(mut source: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = source.read(&mut part).await {
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// A file as input, from its beginning.
pub(super) fn input(file: &std::fs::File) -> Result<Stdio> {
    let open = || {
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Stdio::from(file))
    };
    open().map_err(|e: std::io::Error| {
        Error::new(ErrorKind::Internal, "the copy can't be read again").with_source(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("pg_dump (PostgreSQL) 18.4\n"), Some(18));
        assert_eq!(major("pg_restore (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major("pg_dump (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("something else 3"), None);
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_what_to_do() {
        let found = Program::find("pg_dump", Some(Path::new("/nowhere")), 180_004).await;
        let error = found.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.chain();
        assert!(text.contains("/nowhere/pg_dump") && text.contains("18 or newer"), "{text}");
    }

    #[tokio::test]
    async fn the_last_words_are_kept_and_no_more() {
        let text = format!("{}\nerror: one\nerror: two\n", "x".repeat(5000));
        let words = last_words(text.as_bytes()).await;
        assert!(words.ends_with("x; error: one; error: two") && words.len() <= LAST_WORDS + 10);
    }
}
