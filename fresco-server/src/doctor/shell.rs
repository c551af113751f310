//! Commands that are shown to people, to be pasted into a shell.

use std::path::Path;

use tokio_postgres::config::Host;

/// Brings up PostgreSQL, Traefik and the network of a development machine.
pub(super) const DEV_STACK: &str = "dev/stack up";

/// Whether this is a copy of the repository, where `dev/stack` is.
pub(super) fn has_dev_stack() -> bool {
    Path::new("dev/stack").is_file()
}

/// A word for the shell, in quotes where it needs them.
pub(super) fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A name for SQL, in quotes where it needs them.
pub(super) fn ident(name: &str) -> String {
    let start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if start && name.bytes().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Who listens on this port; as root, with the program's name.
pub(super) fn show_listener(port: u16) -> String {
    format!("sudo ss -ltnp 'sport = :{port}'")
}

/// Starts a service of the machine.
pub(super) fn start_service(name: &str) -> String {
    if Path::new("/run/systemd/system").exists() {
        format!("sudo systemctl start {name}")
    } else {
        format!("sudo service {name} start")
    }
}

/// Whether a program of this name is where programs are.
pub(super) fn has_program(name: &str) -> bool {
    ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

/// Where a PostgreSQL server is, and who a URL logs in as: all of a URL but its password.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) role: String,
    pub(super) database: String,
    pub(super) production: bool,
}

impl Place {
    /// `None` for a URL that the driver can't read; whoever connects says why.
    pub(super) fn of(url: &str, production: bool) -> Option<Self> {
        let config: tokio_postgres::Config = url.parse().ok()?;
        let host = match config.get_hosts().first()? {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        let role = config.get_user().unwrap_or_default().to_owned();
        Some(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(&role).to_owned(),
            role,
            production,
        })
    }

    /// Runs a statement (or a command of psql) as the server's superuser.
    pub(super) fn as_superuser(&self, statement: &str) -> String {
        self.psql("-c", statement)
    }

    /// Lets in who comes from a network that the server itself is on.
    pub(super) fn let_networks_in(&self) -> String {
        if self.in_container() && has_dev_stack() {
            return DEV_STACK.to_owned();
        }
        let file = self.psql("-Atc", "SHOW hba_file");
        let reload = self.as_superuser("SELECT pg_reload_conf()");
        format!("echo 'host all all samenet scram-sha-256' | sudo tee -a \"$({file})\" && {reload}")
    }

    fn psql(&self, flag: &str, statement: &str) -> String {
        let (host, port, statement) = (quote(&self.host), self.port, quote(statement));
        let container =
            if self.in_container() { "docker exec -it fresco-dev-postgres " } else { "" };
        format!("{container}psql -h {host} -p {port} -U postgres {flag} {statement}")
    }

    /// A development machine may have psql in the container of `dev/stack` alone.
    fn in_container(&self) -> bool {
        !self.production && !has_program("psql")
    }

    /// Whether it is on this machine.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
            || self.host.starts_with('/')
    }

    /// Whether it is the server that `dev/stack` brings up where no setting says otherwise.
    pub(super) fn is_dev_stack(&self) -> bool {
        self.is_usual() && has_dev_stack()
    }

    /// Whether it is where the default of `DATABASE_URL` leads.
    fn is_usual(&self) -> bool {
        let usual = (self.role.as_str(), self.database.as_str(), self.port);
        let ours = usual == ("fresco_platform_app", "fresco_platform", 5432);
        !self.production && self.is_here() && ours
    }

    /// Starts the server, where it is known how.
    pub(super) fn start(&self) -> Option<String> {
        if self.is_dev_stack() {
            return Some(DEV_STACK.to_owned());
        }
        // Debian's way to run PostgreSQL.
        (self.is_here() && has_program("pg_ctlcluster")).then(|| start_service("postgresql"))
    }

    /// Starts the server anew, for settings that need it.
    pub(super) fn restart(&self) -> String {
        if self.is_dev_stack() {
            "docker restart fresco-dev-postgres".to_owned()
        } else {
            "sudo systemctl restart postgresql".to_owned()
        }
    }

    /// The same URL without its password and its address, for a person to fill in.
    pub(super) fn pattern(&self) -> String {
        format!("postgresql://{}:password@host:port/{}", self.role, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_into_a_shell_stays_one_word() {
        assert_eq!(quote("PORT=3001"), "PORT=3001");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("x'; rm -rf ~"), r"'x'\''; rm -rf ~'");
        assert_eq!(quote("$(id)"), "'$(id)'");
        assert_eq!(ident("fresco_platform"), "fresco_platform");
        assert_eq!(ident("My\"db"), "\"My\"\"db\"");
    }

    #[test]
    fn only_the_default_leads_to_the_servers_of_a_developers_machine() {
        let default = crate::settings::find("DATABASE_URL").unwrap().default.unwrap();
        assert!(Place::of(default, false).unwrap().is_usual());
        assert!(!Place::of(default, true).unwrap().is_usual());
        for (from, to) in [(":5432", ":5433"), ("@localhost", "@db"), ("_app:", "_x:")] {
            let other = default.replacen(from, to, 1);
            assert_ne!(other, default);
            assert!(!Place::of(&other, false).unwrap().is_usual(), "{other}");
        }
    }

    #[test]
    fn a_place_has_everything_but_the_password() {
        let place = Place::of("postgresql://app:hunter2@db.example.org:5433/x", true).unwrap();
        assert!(!format!("{place:?}").contains("hunter2"));
        let command = place.as_superuser("SELECT 1");
        assert_eq!(command, "psql -h db.example.org -p 5433 -U postgres -c 'SELECT 1'");
        assert!(Place::of("nonsense", true).is_none());
    }
}
