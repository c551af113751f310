//! The command line.

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Command};

use fresco_core::TenantId;

use crate::accounts::{AuditHead, Email, Role};
use crate::settings::{SETTINGS, Setting, Values};

/// The task that the platform itself gives its program, in a container.
pub(crate) const NETWORK_PROBE: &str = "network-probe";

/// The argument that names an account.
const EMAIL: &str = "email";
/// The option that names a tenant.
const TENANT: &str = "tenant";
/// The option that names the end of the audit log, as it was once.
const HEAD: &str = "head";

/// What the program was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Serve until told to stop.
    Serve,
    /// Bring the database's tables up to date, and end.
    Migrate,
    /// Make the account of this address an admin's, or a user's again.
    SetRole(Email, Role),
    /// Delete the account of this address.
    DeleteAccount(Email),
    /// Encrypt anew what is encrypted under an earlier secret.
    RotateSecrets,
    /// Look at everything that the platform needs, and say what is wrong.
    Doctor,
    /// Invite this address to sign up.
    Invite(String),
    /// Look whether the audit log is as it was sealed, and comes by this place that was noted.
    AuditVerify(Option<AuditHead>),
    /// Print what the audit log tells of this tenant.
    AuditExport(TenantId),
    /// Print the rules that keep tenants from this machine, for `nft -f`.
    Firewall,
    /// Be the program in a container that probes those rules.
    NetworkProbe,
}

/// Reads the command line: what to do, and the settings that flags give.
///
/// # Errors
/// clap's own, which also carries `--help` and `--version`.
pub fn parse<I, T>(arguments: I) -> Result<(Task, Values), clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    let (task, flags) = match matches.subcommand() {
        Some(("migrate", flags)) => (Task::Migrate, flags),
        Some(("admin", of)) => set_role(of),
        Some(("account", of)) => account(of),
        Some(("audit", of)) => audit(of),
        Some(("rotate-secrets", flags)) => (Task::RotateSecrets, flags),
        Some(("doctor", flags)) => (Task::Doctor, flags),
        Some(("invite", flags)) => {
            // The argument is required.
            let email = flags.get_one::<String>("email").cloned().unwrap_or_default();
            (Task::Invite(email), flags)
        }
        Some(("firewall", flags)) => (Task::Firewall, flags),
        Some((NETWORK_PROBE, flags)) => (Task::NetworkProbe, flags),
        Some((_, flags)) => (Task::Serve, flags),
        None => (Task::Serve, &matches),
    };
    Ok((task, values(flags)))
}

fn set_role(of: &ArgMatches) -> (Task, &ArgMatches) {
    let (role, flags) = match of.subcommand() {
        Some(("grant", flags)) => (Role::Admin, flags),
        Some((_, flags)) => (Role::User, flags),
        // clap asks for one of them.
        None => return (Task::Serve, of),
    };
    match flags.get_one::<Email>(EMAIL) {
        Some(email) => (Task::SetRole(email.clone(), role), flags),
        None => (Task::Serve, flags),
    }
}

fn account(of: &ArgMatches) -> (Task, &ArgMatches) {
    // clap asks for the one there is, and for its argument.
    let Some((_, flags)) = of.subcommand() else { return (Task::Serve, of) };
    match flags.get_one::<Email>(EMAIL) {
        Some(email) => (Task::DeleteAccount(email.clone()), flags),
        None => (Task::Serve, flags),
    }
}

fn audit(of: &ArgMatches) -> (Task, &ArgMatches) {
    match of.subcommand() {
        Some(("export", flags)) => match flags.get_one::<TenantId>(TENANT) {
            Some(id) => (Task::AuditExport(*id), flags),
            // The option is required.
            None => (Task::Serve, flags),
        },
        Some((_, flags)) => (Task::AuditVerify(flags.get_one(HEAD).cloned()), flags),
        // clap asks for one of them.
        None => (Task::Serve, of),
    }
}

fn values(flags: &ArgMatches) -> Values {
    let given = SETTINGS.iter().filter(|setting| !setting.secret).filter_map(|setting| {
        Some((setting.name, flags.get_one::<String>(setting.name)?.as_str()))
    });
    Values::flags(given)
}

fn command() -> Command {
    let mut command = Command::new("fresco-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Researchers sign up, pick a subdomain and get an instance of their own.")
        .after_help(StyledStr::from(secrets()))
        .subcommand(Command::new("serve").about("Serve the API (the default)"))
        .subcommand(
            Command::new("migrate").about("Bring the database's tables up to date, and end"),
        )
        .subcommand(admin())
        .subcommand(account_command())
        .subcommand(audit_command())
        .subcommand(Command::new("rotate-secrets").about(
            "Encrypt tenants' variables anew under AUTH_SECRET, those under AUTH_SECRET_OLD and those in clear, while servers run",
        ))
        .subcommand(
            Command::new("doctor").about("Look at all that is needed, and say what is wrong"),
        )
        .subcommand(
            Command::new("invite")
                .about("Invite somebody to sign up, and print the link, which holds once")
                .arg(Arg::new("email").value_name("EMAIL").required(true)),
        )
        .subcommand(Command::new("firewall").about(
            "Print the rules that keep tenants from this machine, for `nft -f` before Docker starts",
        ))
        .subcommand(Command::new(NETWORK_PROBE).hide(true));
    for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
        command = command.arg(
            Arg::new(setting.name)
                .long(setting.flag())
                .value_name("VALUE")
                .global(true)
                .help(help(setting)),
        );
    }
    command
}

fn email() -> Arg {
    let email = Arg::new(EMAIL).value_name("ADDRESS").required(true);
    email.value_parser(|text: &str| text.parse::<Email>().map_err(|error| error.to_string()))
}

fn account_command() -> Command {
    let delete = "Delete an account and what is kept of it, once its instances are removed";
    Command::new("account")
        .about("Look after somebody's account")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("delete").about(delete).arg(email()))
}

fn admin() -> Command {
    Command::new("admin")
        .about("Choose who looks after the platform")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("grant").about("Make an account an admin's").arg(email()))
        .subcommand(Command::new("revoke").about("Make it a user's again").arg(email()))
}

fn audit_command() -> Command {
    let head = Arg::new(HEAD).long(HEAD).value_name("HEAD").help(
        "The head that this command printed once, or that the server's log told: the log must come by it",
    );
    let head = head.value_parser(|text: &str| text.parse::<AuditHead>().map_err(|e| e.to_string()));
    let tenant =
        Arg::new(TENANT).long(TENANT).value_name("ID").required(true).help("The tenant's id");
    let tenant =
        tenant.value_parser(|text: &str| text.parse::<TenantId>().map_err(|e| e.to_string()));
    let verify = "Look whether the log is as it was sealed: 0 if it is, else 1 and the first row that is not";
    Command::new("audit")
        .about("What happened on the platform, who did it, and whether that was tampered with")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("verify").about(verify).arg(head))
        .subcommand(
            Command::new("export").about("Print all rows about a tenant as JSON lines").arg(tenant),
        )
}

fn help(setting: &Setting) -> String {
    let default = setting.default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
    format!("{} [env: {}]{default}", setting.help, setting.name)
}

fn secrets() -> String {
    let mut text = "Each option is also an environment variable, or a line of a file .env in the working folder; an option wins over the environment, and that over the file. Secrets have no option:\n".to_owned();
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        text.push_str(&format!("  {}: {}\n", setting.name, setting.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::find;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_stand_before_and_after_the_task() {
        for line in [
            ["fresco-server", "--port", "3100", "doctor"],
            ["fresco-server", "doctor", "--port", "3100"],
        ] {
            let (task, values) = parse(line).unwrap();
            assert_eq!(task, Task::Doctor);
            assert_eq!(values.set(find("PORT").unwrap()), Some("3100"));
        }
        assert_eq!(parse(["fresco-server"]).unwrap().0, Task::Serve);
    }

    #[test]
    fn an_admin_is_named_by_address() {
        let ada: Email = "ada@example.org".parse().unwrap();
        for (word, role) in [("grant", Role::Admin), ("revoke", Role::User)] {
            let line = ["fresco-server", "admin", word, "Ada@example.org", "--log", "warn"];
            let (task, values) = parse(line).unwrap();
            assert_eq!(task, Task::SetRole(ada.clone(), role));
            assert_eq!(values.set(find("LOG").unwrap()), Some("warn"));
        }
        for line in [
            &["fresco-server", "admin"][..],
            &["fresco-server", "admin", "grant"],
            &["fresco-server", "admin", "grant", "ada"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn an_account_to_be_deleted_is_named_by_address() {
        let (task, _) = parse(["fresco-server", "account", "delete", "Ada@example.org"]).unwrap();
        assert_eq!(task, Task::DeleteAccount("ada@example.org".parse().unwrap()));
        assert!(parse(["fresco-server", "account"]).is_err());
        assert!(parse(["fresco-server", "account", "delete"]).is_err());
    }

    #[test]
    fn the_audit_log_is_looked_at() {
        let parse = |line: &[&str]| parse(line.iter().copied()).map(|(task, _)| task);
        assert_eq!(parse(&["fresco-server", "audit", "verify"]).unwrap(), Task::AuditVerify(None));
        let head = format!("12:{}", "0a".repeat(32));
        let task = parse(&["fresco-server", "audit", "verify", "--head", &head]).unwrap();
        assert_eq!(task, Task::AuditVerify(Some(head.parse().unwrap())));
        let id = TenantId::new();
        let task = parse(&["fresco-server", "audit", "export", "--tenant", &id.to_string()]);
        assert_eq!(task.unwrap(), Task::AuditExport(id));
        for line in [
            &["fresco-server", "audit"][..],
            &["fresco-server", "audit", "export"],
            &["fresco-server", "audit", "export", "--tenant", "x"],
            &["fresco-server", "audit", "verify", "--head", "12:0a"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn an_invite_names_whom_it_is_for() {
        let (task, _) = parse(["fresco-server", "invite", "ada@example.org"]).unwrap();
        assert_eq!(task, Task::Invite("ada@example.org".into()));
        assert!(parse(["fresco-server", "invite"]).is_err());
    }

    #[test]
    fn a_secret_is_no_flag() {
        assert!(parse(["fresco-server", "--auth-secret", "x"]).is_err());
    }
}
