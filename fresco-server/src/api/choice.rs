//! What an owner may choose for a tenant, checked field by field.

use std::collections::BTreeMap;
use std::fmt;

use fresco_core::{AppProfile, EnvName, EnvValue, Error, ErrorKind, ImageRef, Limits, Subdomain};
use poem_openapi::Object;

use crate::api::text::Text;
use crate::http::problem::Problem;
use crate::policy::TenantPolicy;

/// Variables of one tenant: each is encrypted by itself, and read with each step of each operation.
const MOST_VARIABLES: usize = 200;
/// Bytes that their names and values may take together.
const MOST_BYTES: usize = 256 * 1024;

/// Limits of a tenant, each at will: what is absent stays, or is the platform's usual.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub(crate) struct SomeLimits {
    /// Memory in MB (2²⁰ bytes).
    memory_mb: Option<u32>,
    /// CPUs: 0.5 is half of one core.
    cpus: Option<f64>,
    /// Processes and threads.
    pids: Option<u32>,
}

impl SomeLimits {
    /// Whether none is chosen.
    pub(crate) const fn is_empty(&self) -> bool {
        self.memory_mb.is_none() && self.cpus.is_none() && self.pids.is_none()
    }

    fn over(&self, rest: Limits) -> Limits {
        Limits {
            memory_mb: self.memory_mb.unwrap_or(rest.memory_mb),
            cpus: self.cpus.unwrap_or(rest.cpus),
            pids: self.pids.unwrap_or(rest.pids),
        }
    }

    /// These limits, and for what is absent those that hold now.
    pub(crate) fn checked(
        &self,
        policy: &TenantPolicy,
        app: &AppProfile,
        now: Limits,
    ) -> Result<Limits, Problem> {
        // What is not chosen is not judged: the bounds may have changed since it was.
        policy.check_limits(&self.over(policy.default_limits())).map_err(|error| {
            let field = format!("limits.{}", error.context("limit").unwrap_or_default());
            wrong(field.trim_end_matches('.'), error.message())
        })?;
        let least = app.min_memory_mb;
        if self.memory_mb.is_some_and(|chosen| chosen < least) {
            return Err(wrong("limits.memoryMb", format!("this app needs at least {least} MB")));
        }
        let least = app.min_pids;
        if self.pids.is_some_and(|chosen| chosen < least) {
            return Err(wrong("limits.pids", format!("this app needs at least {least} processes")));
        }
        Ok(self.over(now))
    }
}

/// A name below the platform's domain.
pub(crate) fn subdomain(text: &str) -> Result<Subdomain, Problem> {
    text.parse().map_err(|error| wrong("subdomain", error))
}

/// An image that owners may choose.
pub(crate) fn image(policy: &TenantPolicy, text: &str) -> Result<ImageRef, Problem> {
    let image: ImageRef = text.parse().map_err(|error: Error| wrong("image", error.message()))?;
    policy.check_image(&image).map_err(|error| wrong("image", error.message()))?;
    Ok(image)
}

/// The owner's variables. A value is never repeated in what is answered.
pub(crate) fn environment(
    app: &AppProfile,
    variables: &BTreeMap<String, Text>,
) -> Result<BTreeMap<EnvName, EnvValue>, Problem> {
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if variables.len() > MOST_VARIABLES || bytes > MOST_BYTES {
        let kib = MOST_BYTES / 1024;
        let words = format!("there may be {MOST_VARIABLES} variables at most, of {kib} KiB in all");
        return Err(wrong("environment", words));
    }
    let mut parsed = BTreeMap::new();
    for (name, value) in variables {
        let field = || format!("environment.{}", name.chars().take(128).collect::<String>());
        let bad = |error: Error| wrong(&field(), error.message());
        let key: EnvName = name.parse().map_err(bad)?;
        if app.environment.contains_key(&key) {
            let what = "this variable is set by the platform and can't be chosen";
            return Err(wrong(&field(), what));
        }
        parsed.insert(key, value.parse().map_err(bad)?);
    }
    Ok(parsed)
}

/// 422 that names the field.
fn wrong(field: &str, what: impl fmt::Display) -> Problem {
    Error::new(ErrorKind::Invalid, what.to_string()).with("field", field).into()
}
