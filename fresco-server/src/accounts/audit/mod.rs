//! What happened: written down as it happens, linked by a sealer afterwards, and never changed.
//!
//! A row holds ids, stable words and an address. Nothing that somebody typed goes into one.

mod chain;
mod ends;
mod query;
mod seal;
mod verify;

use std::borrow::Cow;
use std::net::IpAddr;

use fresco_core::Result;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

pub(super) use chain::AuditKeys;
pub use ends::EndedOperation;
pub use query::{AuditPage, AuditQuery, AuditRow};
pub use seal::Sealed;
pub use verify::{AuditFault, AuditHead, AuditReport};

use super::database::{Mapped, call};
use super::{Accounts, Email};

/// The outcome of what went well.
pub const AUDIT_OK: &str = "ok";

/// Who did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditActor {
    /// Somebody who showed nothing that was believed.
    #[default]
    Anonymous,
    /// Somebody with an account.
    User,
    /// Somebody with an account, who looks after the platform.
    Admin,
    /// Whoever may run the platform's program on its machine.
    Operator,
    /// The platform itself.
    System,
}

impl AuditActor {
    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// By what somebody came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMeans {
    /// By nothing, or by what they typed.
    #[default]
    None,
    /// By a session with this id; without one it is not known which.
    Session(Option<Uuid>),
    /// By an API key with this id; without one it is not known which.
    Key(Option<Uuid>),
    /// By the link to an app that has no owner yet.
    Link,
    /// By a command.
    Command,
}

impl AuditMeans {
    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Session(_) => "session",
            Self::Key(_) => "key",
            Self::Link => "link",
            Self::Command => "command",
        }
    }

    const fn id(self) -> Option<Uuid> {
        match self {
            Self::Session(id) | Self::Key(id) => id,
            Self::None | Self::Link | Self::Command => None,
        }
    }
}

/// What something is about, by ids that open nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditAbout {
    /// A tenant.
    pub tenant: Option<Uuid>,
    /// An account.
    pub user: Option<Uuid>,
    /// An API key.
    pub key: Option<Uuid>,
    /// A session.
    pub session: Option<Uuid>,
    /// An operation.
    pub operation: Option<Uuid>,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The stable word for it: a call's operationId, or what happened beside the API.
    pub event: &'static str,
    /// [`AUDIT_OK`], or the stable word for what went wrong.
    pub outcome: Cow<'static, str>,
    /// Who did it.
    pub actor: AuditActor,
    /// The account of who did it.
    pub actor_id: Option<Uuid>,
    /// By what they came.
    pub means: AuditMeans,
    /// From where.
    pub address: Option<IpAddr>,
    /// What it is about.
    pub about: AuditAbout,
    /// The account of this address, if there is one, where `about` names none. The address itself is
    /// not written down: people type a password into the wrong field.
    pub account_of: Option<Email>,
    /// How many, of what is counted.
    pub number: Option<u64>,
}

impl AuditEvent {
    /// Something that nobody is known to have done, and that went well.
    #[must_use]
    pub const fn new(event: &'static str) -> Self {
        Self {
            event,
            outcome: Cow::Borrowed(AUDIT_OK),
            actor: AuditActor::Anonymous,
            actor_id: None,
            means: AuditMeans::None,
            address: None,
            about: AuditAbout {
                tenant: None,
                user: None,
                key: None,
                session: None,
                operation: None,
            },
            account_of: None,
            number: None,
        }
    }

    /// Something that the platform did by itself.
    #[must_use]
    pub const fn of_system(event: &'static str) -> Self {
        let mut new = Self::new(event);
        new.actor = AuditActor::System;
        new
    }

    /// Something that was done by a command.
    #[must_use]
    pub const fn of_command(event: &'static str) -> Self {
        let mut new = Self::new(event);
        (new.actor, new.means) = (AuditActor::Operator, AuditMeans::Command);
        new
    }
}

const INSERT: &str = "INSERT INTO fresco_server.audit
        (event, outcome, actor, actor_id, means, means_id, address, tenant_id, user_id, key_id,
         session_id, operation_id, number)
     SELECT $1::text, $2::text, $3::text, $4::uuid, $5::text, $6::uuid, $7::text, $8::uuid,
         coalesce($9::uuid, (SELECT id FROM fresco_server.users WHERE email_key = $14::text)),
         $10::uuid, $11::uuid, $12::uuid, $13::bigint";

impl Accounts {
    /// Writes down what happened.
    ///
    /// # Errors
    /// The database's own.
    pub async fn note(&self, event: &AuditEvent) -> Result<()> {
        let (actor, means, id) = (event.actor.as_str(), event.means.as_str(), event.means.id());
        let address = event.address.map(|address| address.to_string());
        let key = event.account_of.as_ref().map(Email::key);
        let number = event.number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let about = &event.about;
        let values: [&(dyn ToSql + Sync); 14] = [
            &event.event,
            &&*event.outcome,
            &actor,
            &event.actor_id,
            &means,
            &id,
            &address,
            &about.tenant,
            &about.user,
            &about.key,
            &about.session,
            &about.operation,
            &number,
            &key,
        ];
        call("accounts.note", async {
            let client = self.database().client().await?;
            client.execute(INSERT, &values).await.mapped()?;
            Ok(())
        })
        .await
    }
}
