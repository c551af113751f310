//! The disk that containers and their data lie on.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fresco_core::{DiskSpace, Error, ErrorKind, Result};

use crate::runtime::DockerRuntime;

#[async_trait]
impl DiskSpace for DockerRuntime {
    /// Of the disk that holds Docker's folder. It must be on this machine: for an engine elsewhere
    /// the answer would be that of another disk.
    async fn free_mb(&self) -> Result<u64> {
        let info = self.engine.info().await?;
        let root = PathBuf::from(info.docker_root_dir.unwrap_or_default());
        let shown = root.clone();
        let unknown = move || {
            Error::new(ErrorKind::Unavailable, "the free disk space of Docker's folder is unknown")
                .with("folder", shown.display())
        };
        // A disk that hangs must not hold up a thread that others need.
        let free = tokio::task::spawn_blocking(move || free_mb(&root)).await;
        free.ok().flatten().ok_or_else(unknown)
    }
}

/// The free space below a folder, in MB, for who is not root.
fn free_mb(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize) / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_free_space_and_no_folder_has_none() {
        assert!(free_mb(Path::new("/")).unwrap() > 0);
        assert_eq!(free_mb(Path::new("/no/such/folder")), None);
    }
}
