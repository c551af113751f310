//! Puts a platform together from the configuration: PostgreSQL, Docker and Traefik.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    Backends, Capacity, Error, ErrorKind, Orchestrator, PlatformId, Result, Store, TenantQuery,
};
use fresco_docker::{DockerConfig, DockerRuntime, Firewall, TraefikConfig, TraefikLabels};
use fresco_postgres::{
    EnvironmentKeys, PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig,
    Resealed,
};
use secrecy::ExposeSecret;

use crate::accounts::{
    Accounts, AccountsConfig, AuditEvent, Email, Role, SignupPolicy, UserChange, UserDeletion,
};
use crate::cli::NETWORK_PROBE;
use crate::config::{Config, Traefik};
use crate::http::gate::{self, Gates};
use crate::platform::Platform;

/// How long the parts may take to answer when the server starts: a machine that boots starts all of
/// them at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a part is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects to everything.
///
/// # Errors
/// The first part's own, once it can't be cured by waiting, or a minute has passed.
pub async fn platform(config: Config) -> Result<Platform> {
    if config.migrate {
        patiently(|| migrate(&config)).await?;
    }
    let (backends, capacity) = patiently(|| backends(&config)).await?;
    let accounts = patiently(|| Accounts::connect(accounts(&config))).await?;
    let backends = backends.with_claim_gates(Gates::new(accounts.clone(), config.listen));
    let orchestrator = Orchestrator::builder(backends, config.base_domain.clone());
    let orchestrator = orchestrator
        .settings(|settings| {
            settings.workers = config.workers;
            settings.lease_ttl = config.lease;
            settings.lease_margin = settings.lease_margin.min(config.lease / 3);
            settings.capacity = capacity;
            settings.quota = config.quota;
            settings.min_free_disk_mb = config.room.min_free_disk_mb;
            settings.allow_unenforced.clone_from(&config.allow_unenforced);
        })
        .build()
        .await?;
    Ok(Platform::new(config, orchestrator, accounts))
}

/// Brings the tables up to date. Servers that do so at the same time take turns.
///
/// # Errors
/// When the database does not answer, or may not be changed.
pub async fn migrate(config: &Config) -> Result<()> {
    PostgresStore::migrate(&store(config)?).await?;
    Accounts::migrate(&accounts(config)).await
}

/// Makes the account of this address an admin's, or a user's again, and says what became of it.
///
/// # Errors
/// When the database does not answer; `NotFound` when the address has no account; `Conflict` with the
/// reason when the role can't be changed.
pub async fn set_role(config: &Config, email: &Email, role: Role) -> Result<String> {
    let accounts = open_accounts(config).await?;
    let conflict = |words| Err(Error::new(ErrorKind::Conflict, words).with("email", email));
    let unknown = || {
        let words = "this address has no account; sign up with it first";
        Error::new(ErrorKind::NotFound, words).with("email", email)
    };
    let mut event = AuditEvent::of_command(match role {
        Role::Admin => "command_admin_grant",
        Role::User => "command_admin_revoke",
    });
    let Some(user) = accounts.user_of(email).await? else {
        event.outcome = "not_found".into();
        noted(&accounts, &event).await?;
        return Err(unknown());
    };
    event.about.user = Some(user.id);
    let change = accounts.set_role(user.id, role).await?;
    event.outcome = match &change {
        UserChange::Done(_) => event.outcome,
        UserChange::Unknown => "not_found".into(),
        UserChange::LastAdmin => "last_admin".into(),
        UserChange::Configured => "admin_by_setting".into(),
        UserChange::Suspended => "account_suspended".into(),
        UserChange::Unverified => "email_unverified".into(),
    };
    noted(&accounts, &event).await?;
    match change {
        UserChange::Done(user) => {
            Ok(format!("{} has the role {} from now on\n", user.email, user.role.as_str()))
        }
        UserChange::Unknown => Err(unknown()),
        UserChange::LastAdmin => conflict(
            "this is the last admin; make another one first, with: fresco-server admin grant",
        ),
        UserChange::Configured => conflict(
            "the setting ADMIN_EMAIL makes this account an admin; change that, and restart the server",
        ),
        UserChange::Suspended => {
            conflict("this account is suspended; resume it first, or grant another one")
        }
        UserChange::Unverified => conflict(
            "nobody has shown yet that this address is theirs, so the account may be anybody's; verify it first, by the letter that the settings send again",
        ),
    }
}

/// Deletes the account of this address with all that is kept of it, and says what stays.
///
/// # Errors
/// When the database does not answer; `NotFound` when the address has no account; `Conflict` with the
/// reason when it can't be deleted: its tenants that are not destroyed are named.
pub async fn delete_account(config: &Config, email: &Email) -> Result<String> {
    let accounts = open_accounts(config).await?;
    let store = PostgresStore::connect(store(config)?).await?;
    let unknown =
        || Error::new(ErrorKind::NotFound, "this address has no account").with("email", email);
    let mut event = AuditEvent::of_command("command_account_delete");
    let Some(user) = accounts.user_of(email).await? else {
        event.outcome = "not_found".into();
        noted(&accounts, &event).await?;
        return Err(unknown());
    };
    let mut query = TenantQuery::all();
    query.owner = Some(user.owner());
    let mut names = Vec::new();
    let has_tenants = async {
        // One that can't be read is counted, and not among the others.
        let page = store.tenants(&query).await?;
        names.extend(page.tenants.iter().map(|tenant| tenant.spec.subdomain.to_string()));
        Ok(page.total > 0)
    };
    let done = accounts.delete(user.id, has_tenants).await?;
    event.about.user = Some(user.id);
    event.outcome = match done {
        UserDeletion::Done => event.outcome,
        UserDeletion::Unknown => "not_found".into(),
        UserDeletion::LastAdmin => "last_admin".into(),
        UserDeletion::HasTenants => "has_tenants".into(),
    };
    noted(&accounts, &event).await?;
    let conflict = |words| Error::new(ErrorKind::Conflict, words).with("email", email);
    match done {
        UserDeletion::Done => Ok(format!(
            "{} has no account any more: sessions, API keys, letters and invites went with it. What stays is the history of its removed instances, and for {} days what the audit log tells of it, under the account's id {}\n",
            user.email,
            config.audit_keep.as_secs() / (24 * 60 * 60),
            user.id
        )),
        UserDeletion::Unknown => Err(unknown()),
        UserDeletion::LastAdmin => Err(conflict(
            "this is the last admin; make another one first, with: fresco-server admin grant",
        )),
        UserDeletion::HasTenants => Err(conflict(
            "this account has instances, and nothing was deleted; its owner removes them first",
        )
        .with("instances", names.join(", "))),
    }
}

/// Encrypts tenants' variables anew, those that are not under the key of `AUTH_SECRET`.
///
/// # Errors
/// As [`PostgresStore::connect`] and [`PostgresStore::reseal`].
pub async fn rotate_secrets(config: &Config) -> Result<Resealed> {
    PostgresStore::connect(store(config)?).await?.reseal().await
}

/// The accounts of a platform whose tables are up to date, for one command.
///
/// # Errors
/// As [`Accounts::connect`].
pub async fn open_accounts(config: &Config) -> Result<Accounts> {
    Accounts::connect(accounts(config)).await
}

/// Writes a command that was done into the audit log.
///
/// # Errors
/// The database's own, which says that the command itself was done.
pub async fn note_command(config: &Config, event: &'static str) -> Result<()> {
    noted(&open_accounts(config).await?, &AuditEvent::of_command(event)).await
}

async fn noted(accounts: &Accounts, event: &AuditEvent) -> Result<()> {
    accounts.note(event).await.map_err(|error| {
        let words = "it was done, and could not be written into the audit log";
        Error::new(error.kind(), words).with("event", event.event).with_source(error)
    })
}

/// The store, which has to be migrated already.
fn store(config: &Config) -> Result<PostgresStoreConfig> {
    let mut keys = EnvironmentKeys::new(&config.auth_secret)?;
    for secret in &config.auth_secrets_old {
        keys = keys.with_old(secret)?;
    }
    Ok(PostgresStoreConfig::new(config.database_url.clone()).keys(keys).migrate(false))
}

async fn backends(config: &Config) -> Result<(Backends, Capacity)> {
    let store = PostgresStore::connect(store(config)?).await?;
    let id = store.platform().await?;
    let docker = DockerConfig::new(id)
        .host(&config.docker_host)
        .network(&config.docker_network)
        .firewall(firewall(config).await?)
        .reserve(config.tenants.reserved_mb(), config.tenants.cpus.min);
    let docker = Arc::new(DockerRuntime::connect(docker).await?);
    let (host, port) = &config.tenant_database_host;
    let host = host.clone().unwrap_or_else(|| docker.gateway().to_string());
    let tenants = tenants(config, id, host, *port);
    let tenants = Arc::new(PostgresTenants::connect(tenants).await?);
    let traefik = TraefikConfig::new(id).network(&config.docker_network);
    let traefik = TraefikLabels::new(proxy(&config.traefik, traefik));
    let sample = (gate::sample_host(&config.base_domain), gate::sample(config.listen));
    if let Err(error) = traefik.write_sample(&sample.0, &sample.1).await {
        tracing::warn!(error = %error.chain(), "Traefik will go on asking gates that are opened; see fresco-server doctor");
    }
    let (memory_mb, connections) = (docker.memory_mb().await?, tenants.max_connections().await?);
    let capacity = config.room.capacity(&config.tenants, memory_mb, connections);
    tell_of_others(&docker).await?;
    let backends = Backends::new(store, docker.clone(), tenants.clone(), traefik)
        .with_runtime_events(docker.clone())
        .with_runtime_metrics(docker.clone())
        .with_runtime_resize(docker.clone())
        .with_disk_space(docker.clone())
        .with_runtime_isolation(docker)
        .with_database_metrics(tenants.clone())
        .with_database_snapshots(tenants.clone())
        .with_database_watch(tenants);
    Ok((backends, capacity))
}

/// A store that is empty or another's is no reason to remove what runs. It is one to speak up.
async fn tell_of_others(docker: &DockerRuntime) -> Result<()> {
    for (platform, containers) in docker.other_platforms().await? {
        tracing::warn!(
            %platform, containers,
            "containers of another platform are on this Docker Engine; they are left alone. If they are this platform's own, DATABASE_URL leads to a database that does not know them"
        );
    }
    Ok(())
}

/// What tenants may reach on this machine and in its networks.
async fn firewall(config: &Config) -> Result<Firewall> {
    let mut firewall = Firewall::new()
        .entry_ports(entry_ports(&config.traefik))
        .closed_ports([config.listen.port(), config.traefik.dashboard.port()])
        .prober([NETWORK_PROBE]);
    firewall = match &config.tenant_database_host {
        (None, port) => firewall.gateway_port(*port),
        (Some(host), port) => {
            let found = tokio::net::lookup_host((host.as_str(), *port)).await;
            let found = found.map_err(|error| {
                let what = "TENANT_DATABASE_HOST has no address now, so tenants can't be let through to it";
                Error::new(ErrorKind::Unavailable, what).with("host", host).with_source(error)
            })?;
            found.fold(firewall, Firewall::reach)
        }
    };
    if let Some(resolvers) = &config.tenant_resolvers {
        firewall = firewall.resolvers(resolvers.iter().copied());
    }
    Ok(config.tenant_reach.iter().copied().fold(firewall, Firewall::reach))
}

/// The ports at which everybody reaches tenants.
fn entry_ports(traefik: &Traefik) -> Vec<u16> {
    let https = (traefik.https && !traefik.tls_upstream).then_some(traefik.https_port);
    std::iter::once(traefik.http.port()).chain(https).collect()
}

/// The rules that the server will load, as they can be known without Docker.
///
/// # Errors
/// When the tenants' database has no address.
pub async fn firewall_rules(config: &Config) -> Result<String> {
    // The id marks what is made, and nothing is.
    DockerConfig::new(PlatformId::new())
        .network(&config.docker_network)
        .firewall(firewall(config).await?)
        .firewall_rules()
}

/// Invites an address to sign up, and tells how: the link holds once.
///
/// # Errors
/// `Invalid` for what is no address, `Conflict` for one that has an account, the database's own.
pub async fn invite(config: &Config, email: &str) -> Result<String> {
    let email: Email = email.parse()?;
    let accounts = open_accounts(config).await?;
    let invite = accounts.invite(&email).await;
    let mut event = AuditEvent::of_command("command_invite");
    if invite.is_err() {
        event.outcome = "refused".into();
    }
    noted(&accounts, &event).await?;
    let invite = invite?;
    let (token, until) = (invite.token.expose_secret(), invite.expires_at.format("%F %R UTC"));
    // What stands after the # is sent to no server, and so it is in no log.
    let link = format!("{}/signup#invite={token}", config.public_url);
    let unused = match config.signup {
        SignupPolicy::Invite => "",
        _ => "\nNobody is asked for it now: SIGNUP is not invite.",
    };
    Ok(format!(
        "{link}\n\nIt invites {email}, once, until {until}. Programs send what follows the = sign as `invite` to wizard.createSession or auth.signUp.{unused}\n"
    ))
}

/// The server of the tenants' data, which tenants reach under this host and port, with the limits of
/// the settings.
#[must_use]
pub fn tenants(
    config: &Config,
    platform: PlatformId,
    host: String,
    port: u16,
) -> PostgresTenantsConfig {
    let admin = config.tenant_database_admin_url.clone();
    PostgresTenantsConfig::new(admin, platform, host, port)
        .size_limit(config.tenant_disk)
        .transaction_limit(config.tenant_transaction)
}

/// Where accounts are kept, as the settings have it. In development letters go to the log, which demands
/// no code of anybody.
#[must_use]
pub fn accounts(config: &Config) -> AccountsConfig {
    let smtp = config.smtp.is_some();
    AccountsConfig::new(config.database_url.clone(), config.auth_secret.clone())
        .secrets_old(config.auth_secrets_old.clone())
        .sessions(config.session_life, config.session_idle)
        .mail(smtp || !config.is_production(), smtp)
        .admin_email(config.admin_email.clone())
        .signup(config.signup.clone())
        .trial(config.verifies_addresses.then_some(config.trial))
}

/// Traefik, as the settings describe it.
pub(crate) fn proxy(from: &Traefik, to: TraefikConfig) -> TraefikConfig {
    let to = to.api(from.dashboard);
    let to = match (from.https, from.tls_upstream) {
        (false, _) => to.proxy(from.http).public_port(from.http.port()),
        (true, true) => to.proxy(from.http).public_port(from.https_port).https_ends_before(),
        (true, false) => {
            let resolver = from.cert_resolver.as_deref();
            to.public_port(from.https_port).https(resolver, &from.probe_entrypoint, from.probe)
        }
    };
    let to = match &from.directory {
        Some(folder) => to.directory(folder),
        None => to,
    };
    match &from.entrypoint {
        Some(name) => to.entrypoints([name]),
        None => to,
    }
}

/// Repeats what fails only because a part is not there yet.
async fn patiently<T, F: Future<Output = Result<T>>>(work: impl Fn() -> F) -> Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match work().await {
            Err(error) if error.is_retryable() && tokio::time::Instant::now() < deadline => {
                tracing::warn!(error = %error.chain(), "a part does not answer yet; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
