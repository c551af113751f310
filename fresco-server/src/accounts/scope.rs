//! What a key may be used for.

use std::fmt;
use std::str::FromStr;

use fresco_core::{Error, ErrorKind};

/// What an API key may be used for. None of them includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To see one's tenants and what is done with them.
    TenantsRead,
    /// To create one's tenants, to change and to destroy them.
    TenantsWrite,
    /// To read what the apps of one's tenants wrote.
    LogsRead,
    /// To look after the platform, for those who may.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TenantsRead, Self::TenantsWrite, Self::LogsRead, Self::Admin];

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantsRead => "tenants:read",
            Self::TenantsWrite => "tenants:write",
            Self::LogsRead => "logs:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "there is no such scope").with("field", "scopes")
        })
    }
}
