//! The program `nft`: rules go in as text on its standard input, in one transaction.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The time that one call may take.
const TIME: Duration = Duration::from_secs(10);

/// The table of this name as the kernel has it, without counts; `None` if there is none.
pub(crate) async fn list(table: &str) -> Result<Option<String>> {
    match run(&["-s", "list", "table", "inet", table], "").await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Loads these rules: all of them, or none.
pub(crate) async fn load(rules: &str) -> Result<()> {
    run(&["-f", "-"], rules).await.map(drop)
}

async fn run(arguments: &[&str], input: &str) -> Result<String> {
    let work = async {
        let mut child = Command::new("nft")
            .args(arguments)
            // Not where every user looks.
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end before it has read all: why, it says itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(TIME, work).await {
        Err(_) => Err(Error::new(ErrorKind::TimedOut, "nft did not end in time")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(Error::new(
            ErrorKind::Unsupported,
            "the program nft is not here, which keeps tenants from this machine and its networks: install nftables",
        )),
        Ok(Err(error)) => {
            Err(Error::new(ErrorKind::Internal, "could not run nft").with_source(error))
        }
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Ok(output)) => Err(refused(&String::from_utf8_lossy(&output.stderr))),
    }
}

/// What nft's words mean.
fn refused(words: &str) -> Error {
    let (kind, what) = if words.contains("Operation not permitted") {
        let what = "no right to set this machine's packet filter: run this program as root, or with the capability CAP_NET_ADMIN";
        (ErrorKind::Denied, what)
    } else if words.contains("No such file or directory") {
        (ErrorKind::NotFound, "nftables has no such table")
    } else if words.contains("not supported") {
        let what = "this machine's kernel lacks a part of nftables (nft_ct, nft_fib_inet, nft_reject_inet)";
        (ErrorKind::Unsupported, what)
    } else {
        (ErrorKind::Internal, "nft refused the rules")
    };
    Error::new(kind, what).with_source(io::Error::other(words.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfts_words_become_kinds() {
        let words = "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed";
        assert_eq!(refused(words).kind(), ErrorKind::Denied);
        assert!(refused(words).message().contains("CAP_NET_ADMIN"));
        let words = "Error: No such file or directory\nlist table inet x\n                ^";
        assert_eq!(refused(words).kind(), ErrorKind::NotFound);
        let words = "/dev/stdin:8:3-14: Error: Could not process rule: Operation not supported";
        assert_eq!(refused(words).kind(), ErrorKind::Unsupported);
    }
}
