//! Identities, and every name that is derived from a tenant's id.
//!
//! A tenant's subdomain can be sensitive (a study's name), while the names of containers, roles
//! and databases can be seen by every tenant of the same server. So each of them is made from the
//! random id alone, and all of them are made here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id (version 4).
            #[must_use]
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id with this value.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The value.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Uuid::parse_str(text).map(Self).map_err(|e| {
                    Error::new(
                        ErrorKind::Invalid,
                        concat!("this is not a ", stringify!($name), " (a UUID)"),
                    )
                    .with_source(e)
                })
            }
        }
    };
}

uuid_id!(
    /// A tenant: one isolated instance of an app.
    TenantId
);
uuid_id!(
    /// One durable piece of work on a tenant.
    OperationId
);
uuid_id!(
    /// One installation of the platform.
    ///
    /// It is made once and kept in the store. Whatever the platform makes elsewhere (containers,
    /// roles, databases) carries it, so two platforms on one Docker daemon or one PostgreSQL
    /// server never touch each other's things.
    PlatformId
);
uuid_id!(
    /// One running worker: it holds leases on operations.
    WorkerId
);
uuid_id!(
    /// One issue of database credentials. It is written beside the password's verifier in the
    /// database and on the container that received the password, so a mismatch shows.
    CredentialId
);

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id!(
    /// One exact image, in the runtime's own terms (Docker: the digest of its configuration).
    /// [`ContainerRuntime::prepare`](crate::ContainerRuntime::prepare) takes it back as a reference.
    ImageId
);
opaque_id!(
    /// One container, in the runtime's own terms. A container that replaces another has another id.
    InstanceId
);

impl TenantId {
    /// The name of the tenant's container: `fresco_tenant_<uuid>`.
    #[must_use]
    pub fn container_name(self) -> String {
        format!("fresco_tenant_{}", self.0)
    }

    /// The name of the tenant's schema or database: `tenant_<uuid with _>`.
    #[must_use]
    pub fn database_name(self) -> String {
        format!("tenant_{}", self.underscored())
    }

    /// The name of the tenant's database role: `tenant_user_<uuid with _>`.
    #[must_use]
    pub fn role_name(self) -> String {
        format!("tenant_user_{}", self.underscored())
    }

    /// The tenant of a schema or database name, if it is one that [`database_name`] makes.
    ///
    /// [`database_name`]: TenantId::database_name
    #[must_use]
    pub fn from_database_name(name: &str) -> Option<Self> {
        Self::from_underscored(name.strip_prefix("tenant_")?)
    }

    /// The tenant of a role name, if it is one that [`role_name`](TenantId::role_name) makes.
    #[must_use]
    pub fn from_role_name(name: &str) -> Option<Self> {
        Self::from_underscored(name.strip_prefix("tenant_user_")?)
    }

    /// The name of the tenant's route in the proxy: `fresco-<first 8 of the platform>-<uuid>`.
    #[must_use]
    pub fn route_name(self, platform: PlatformId) -> String {
        let platform = platform.0.simple().to_string();
        format!("fresco-{}-{}", &platform[..8], self.0)
    }

    /// A number for PostgreSQL's advisory locks, the same for the same tenant everywhere.
    #[must_use]
    pub fn lock_key(self) -> i64 {
        let (high, low) = self.0.as_u64_pair();
        i64::from_ne_bytes((high ^ low).to_ne_bytes())
    }

    fn underscored(self) -> String {
        self.0.hyphenated().to_string().replace('-', "_")
    }

    fn from_underscored(text: &str) -> Option<Self> {
        let id = Self(Uuid::parse_str(&text.replace('_', "-")).ok()?);
        // Only the one spelling that we write ourselves counts as ours.
        (id.underscored() == text).then_some(id)
    }
}

/// The labels that a runtime puts on a tenant's container.
pub mod labels {
    /// The tenant's id.
    pub const TENANT_ID: &str = "fresco.tenant.id";
    /// The tenant's subdomain.
    pub const TENANT_SUBDOMAIN: &str = "fresco.tenant.subdomain";
    /// The platform that made the container.
    pub const PLATFORM: &str = "fresco.platform";
    /// The tenant's generation when the container was made.
    pub const GENERATION: &str = "fresco.generation";
    /// What the container was made from; see [`Revision`](crate::Revision).
    pub const REVISION: &str = "fresco.revision";
    /// The issue of credentials that the container received.
    pub const CREDENTIAL: &str = "fresco.credential";
}

/// The most bytes of a name that an embedding program chooses: an index of a store must hold it.
const LONGEST_NAME: usize = 256;

/// Checks a name that an embedding program chose: it must fit into every store.
///
/// # Errors
/// `Invalid`, naming whose name it is.
pub(crate) fn check_name(whose: &str, name: &str) -> Result<(), Error> {
    if name.len() > LONGEST_NAME || name.contains('\0') {
        let what = format!("{whose} has at most {LONGEST_NAME} bytes and no NUL");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    Ok(())
}

/// The owner of a tenant: at most 256 bytes without a NUL, else a spec with it is `Invalid`. The core
/// never looks inside; an embedding program decides what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(String);

impl OwnerId {
    /// An owner with this name.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        check_name("the name of an owner", &self.0)
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often a tenant's work has been taken up: it rises with every lease and every new operation.
///
/// Every effect carries it, so that an effect of somebody who lost the lease in the meantime is
/// recognised and refused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(i64);

impl Generation {
    /// The generation with this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Generation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|e| {
            Error::new(ErrorKind::Invalid, "this is not a generation (a number)").with_source(e)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_tenant() {
        let id = TenantId::new();
        assert_eq!(TenantId::from_database_name(&id.database_name()), Some(id));
        assert_eq!(TenantId::from_role_name(&id.role_name()), Some(id));
        assert_eq!(TenantId::from_database_name("tenant_template"), None);
        assert_eq!(TenantId::from_database_name(&id.role_name()), None);
        assert_eq!(TenantId::from_database_name(&format!("tenant_{id}")), None);
    }

    #[test]
    fn names_fit_into_postgres_identifiers() {
        assert!(TenantId::new().role_name().len() <= 63);
    }
}
