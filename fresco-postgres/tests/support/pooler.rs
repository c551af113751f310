//! A real PgBouncer.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use secrecy::{ExposeSecret, SecretString};

use super::until;

/// A PgBouncer that lends its sessions for one transaction at a time, and ends when it is dropped.
pub struct Pooler {
    program: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// One at this port that leads to the server at this one, for the role and the password of this
    /// URL.
    pub async fn start(port: u16, server: u16, url: &SecretString) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let config: tokio_postgres::Config = url.expose_secret().parse().unwrap();
        let role = config.get_user().unwrap();
        let password = std::str::from_utf8(config.get_password().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // PgBouncer runs as no superuser, who would have to read it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("users"), format!("\"{role}\" \"{password}\"\n")).unwrap();
        let settings = format!(
            "[databases]
             * = host=127.0.0.1 port={server}
             [pgbouncer]
             listen_addr = 127.0.0.1
             listen_port = {port}
             unix_socket_dir =
             auth_type = scram-sha-256
             auth_file = {}
             pool_mode = transaction
             default_pool_size = 1
            ",
            path("users").display()
        );
        let settings: Vec<&str> = settings.lines().map(str::trim).collect();
        std::fs::write(path("pgbouncer.ini"), settings.join("\n")).unwrap();
        let program = spawn(&path("pgbouncer.ini"));
        let pooler = Self { program, _folder: folder };
        until("PgBouncer answers", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        pooler
    }
}

fn spawn(settings: &Path) -> Child {
    // It is the Debian package's program; that folder is not in everybody's path.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("pgbouncer");
    command.env("PATH", path).arg("--quiet").stdout(Stdio::null());
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() == b"0" {
        command.arg("--user=nobody");
    }
    command.arg(settings).spawn().expect("PgBouncer can't be started; is its package installed?")
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}
