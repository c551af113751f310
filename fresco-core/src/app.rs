//! What the platform must know of an app to run it.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::database::Credentials;
use crate::environment::EnvName;
use crate::error::{Error, ErrorKind, Result};
use crate::subdomain::Subdomain;

/// How a tenant's data is kept apart. Fixed when the tenant is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A schema of its own in a shared database.
    Schema,
    /// A database of its own. Needed by apps that name `public` in their SQL.
    Database,
}

/// What the platform must know of an app: plain data, kept with each tenant as it was when the
/// tenant was created or last updated.
///
/// The environment is a template. `{url}`, `{database.direct}`, `{database.pooled}` and
/// `{subdomain}` are replaced; anything else in braces is refused.
///
/// ```
/// use fresco_core::{AppProfile, Isolation};
///
/// let mut profile = AppProfile::generic();
/// profile.port = 8080;
/// profile.environment.insert("BASE_URL".parse()?, "{url}".into());
/// profile.validate()?;
/// assert_eq!(profile.isolation, Isolation::Schema);
/// # Ok::<(), fresco_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AppProfile {
    /// A short name for people and logs.
    pub name: String,
    /// The port that the app listens on inside its container.
    pub port: u16,
    /// The path that is asked to find out whether the app is ready, starting with `/`.
    pub health_path: String,
    /// The status that a ready app answers with there.
    pub health_status: u16,
    /// The path where an app's first visitor becomes its owner, if the app has one. Until it has an
    /// owner its route has a [gate](crate::ClaimGates), where the platform has such gates; such an app
    /// answers `HEAD` at its health path with the same status as `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_path: Option<String>,
    /// The template of the environment: name → text with placeholders.
    pub environment: BTreeMap<EnvName, String>,
    /// How the app's data is kept apart, unless the tenant's spec says otherwise.
    pub isolation: Isolation,
    /// Whether a ready app holds a session in its database. An app's own pages may stay green with
    /// the database down, so this is asked of the database. Turn it off for an app that connects
    /// only when it must.
    pub session_required: bool,
    /// Connections that the app opens at most; the role's limit.
    pub connection_limit: u32,
    /// Folders that the app may write to; each becomes a small in-memory file system.
    pub scratch: Vec<Scratch>,
    /// Whether everything else in the container is read-only.
    pub read_only: bool,
    /// The user inside the container (`uid` or `uid:gid`); `None` leaves it to the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Processes and threads that the app needs at least.
    pub min_pids: u32,
    /// Memory that the app needs at least, in MB.
    pub min_memory_mb: u32,
    /// Seconds from a container's start until the app must be ready.
    pub boot_seconds: u32,
    /// Seconds that the app is given to end by itself when it is stopped.
    pub stop_seconds: u32,
}

/// A folder in memory that an app may write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// The absolute path inside the container.
    pub path: String,
    /// Its size in MB. It counts against the tenant's memory.
    pub size_mb: u32,
}

impl AppProfile {
    /// Network Canvas Fresco 3.1 and newer.
    ///
    /// Its queries name `public` outright, so it needs a database of its own. It opens up to 10
    /// connections (and briefly more while it migrates), has no health route, and takes 30–40 s to
    /// start for the first time at half a CPU.
    #[must_use]
    pub fn fresco() -> Self {
        Self {
            name: "fresco".into(),
            claim_path: Some("/setup".into()),
            isolation: Isolation::Database,
            read_only: false,
            min_pids: 256,
            min_memory_mb: 512,
            ..Self::generic()
        }
    }

    /// An app that listens on port 3000, answers `/signin` with 200, and keeps its data in the
    /// schema that its `DATABASE_URL` leads to.
    #[must_use]
    pub fn generic() -> Self {
        let environment = [
            ("DATABASE_URL", "{database.pooled}"),
            ("DATABASE_URL_UNPOOLED", "{database.direct}"),
            ("PUBLIC_URL", "{url}"),
            ("HOSTNAME", "0.0.0.0"),
            ("PORT", "3000"),
            ("NODE_ENV", "production"),
        ];
        Self {
            name: "generic".into(),
            port: 3000,
            health_path: "/signin".into(),
            health_status: 200,
            claim_path: None,
            environment: environment
                .into_iter()
                .map(|(name, value)| (EnvName::known(name), value.to_owned()))
                .collect(),
            isolation: Isolation::Schema,
            session_required: true,
            connection_limit: 20,
            scratch: vec![Scratch { path: "/tmp".into(), size_mb: 64 }],
            read_only: true,
            user: None,
            min_pids: 64,
            min_memory_mb: 64,
            boot_seconds: 180,
            stop_seconds: 10,
        }
    }

    /// The time from a container's start until the app must be ready.
    #[must_use]
    pub fn boot_deadline(&self) -> Duration {
        Duration::from_secs(self.boot_seconds.into())
    }

    /// The time that the app is given to end by itself.
    #[must_use]
    pub fn stop_grace(&self) -> Duration {
        Duration::from_secs(self.stop_seconds.into())
    }

    /// Checks what the types can't: paths, limits and placeholders.
    ///
    /// # Errors
    /// `Invalid`, naming the field and what it should be.
    pub fn validate(&self) -> Result<()> {
        let field = |ok: bool, what: &str| {
            ok.then_some(()).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("app profile: {what}"))
                    .with("app", &self.name)
            })
        };
        field(self.port != 0, "port must be 1 to 65535")?;
        field(is_path(&self.health_path), "health_path must be a plain path starting with /")?;
        field(
            self.claim_path.as_deref().is_none_or(is_path),
            "claim_path must be a plain path starting with /",
        )?;
        field(
            self.claim_path.as_ref() != Some(&self.health_path),
            "claim_path must be another than health_path, which everybody may look at",
        )?;
        field((200..500).contains(&self.health_status), "health_status must be 200 to 499")?;
        field(self.connection_limit > 0, "connection_limit must be at least 1")?;
        field((5..=3600).contains(&self.boot_seconds), "boot_seconds must be 5 to 3600")?;
        field(self.stop_seconds <= 300, "stop_seconds must be at most 300")?;
        for scratch in &self.scratch {
            field(
                scratch.path.len() > 1 && is_path(&scratch.path) && scratch.size_mb > 0,
                "a scratch folder needs an absolute path and a size of at least 1 MB",
            )?;
        }
        let sample = Substitutes { url: "", direct: "", pooled: "", subdomain: "" };
        for (name, template) in &self.environment {
            sample.apply(name, template)?;
        }
        Ok(())
    }

    /// The environment of one container.
    ///
    /// # Errors
    /// `Invalid` when a template holds a placeholder that does not exist.
    pub fn render(
        &self,
        url: &str,
        subdomain: &Subdomain,
        credentials: &Credentials,
    ) -> Result<BTreeMap<EnvName, SecretString>> {
        let values = Substitutes {
            url,
            direct: credentials.direct.expose_secret(),
            pooled: credentials.pooled.expose_secret(),
            subdomain: subdomain.as_str(),
        };
        self.environment
            .iter()
            .map(|(name, template)| Ok((name.clone(), values.apply(name, template)?.into())))
            .collect()
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic())
}

struct Substitutes<'a> {
    url: &'a str,
    direct: &'a str,
    pooled: &'a str,
    subdomain: &'a str,
}

impl Substitutes<'_> {
    fn apply(&self, name: &EnvName, template: &str) -> Result<String> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let value = after.split_once('}').and_then(|(key, tail)| {
                rest = tail;
                match key {
                    "url" => Some(self.url),
                    "database.direct" => Some(self.direct),
                    "database.pooled" => Some(self.pooled),
                    "subdomain" => Some(self.subdomain),
                    _ => None,
                }
            });
            text.push_str(value.ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "app profile: environment knows {url}, {database.direct}, {database.pooled} and {subdomain}",
                )
                .with("variable", name)
            })?);
        }
        text.push_str(rest);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CredentialId;

    fn credentials() -> Credentials {
        Credentials::new(CredentialId::new(), "postgres://direct", "postgres://pooled")
    }

    #[test]
    fn renders_every_placeholder_once() {
        let mut profile = AppProfile::generic();
        profile.environment.insert(EnvName::known("X"), "a{subdomain}b{url}".into());
        let env = profile.render("http://{url}", &"abc".parse().unwrap(), &credentials()).unwrap();
        // A value is never read as a template again.
        assert_eq!(env[&EnvName::known("X")].expose_secret(), "aabcbhttp://{url}");
        assert_eq!(
            env[&EnvName::known("DATABASE_URL_UNPOOLED")].expose_secret(),
            "postgres://direct"
        );
    }

    #[test]
    fn refuses_unknown_placeholders() {
        for template in ["{password}", "{", "{url"] {
            let mut profile = AppProfile::generic();
            profile.environment.insert(EnvName::known("X"), template.into());
            assert_eq!(profile.validate().unwrap_err().kind(), ErrorKind::Invalid, "{template}");
        }
    }

    #[test]
    fn nobody_claims_an_app_by_looking_at_its_health() {
        let mut profile = AppProfile::generic();
        profile.claim_path = Some(profile.health_path.clone());
        assert_eq!(profile.validate().unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn the_built_in_profiles_are_valid() {
        AppProfile::generic().validate().unwrap();
        AppProfile::fresco().validate().unwrap();
    }
}
