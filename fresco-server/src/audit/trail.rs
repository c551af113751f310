//! What the audit log is told of a call by those who answer it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poem::{FromRequest, Request, RequestBody};
use uuid::Uuid;

use crate::accounts::{AuditAbout, AuditActor, AuditEvent, AuditMeans, Email, User};

/// Takes in what is known of one call: who makes it, and what it is about. Who calls is told by what
/// looks at their session or key; the rest by the call itself, before it does anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    actor: AuditActor,
    actor_id: Option<Uuid>,
    means: AuditMeans,
    about: AuditAbout,
    account_of: Option<Email>,
    kind: Option<&'static str>,
    nothing: bool,
}

impl Trail {
    /// That of this request. Of a call that is not written down, what is told goes nowhere.
    pub(crate) fn of(request: &Request) -> Self {
        request.data::<Self>().cloned().unwrap_or_default()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who calls, and by what means.
    pub(crate) fn caller(&self, user: Uuid, admin: bool, means: AuditMeans) {
        let mut facts = self.facts();
        facts.actor = if admin { AuditActor::Admin } else { AuditActor::User };
        (facts.actor_id, facts.means) = (Some(user), means);
    }

    /// Who turned out to call, by what they typed.
    pub(crate) fn turned_out(&self, user: &User, admin: bool) {
        self.caller(user.id, admin, AuditMeans::None);
        self.facts().about.user = Some(user.id);
    }

    /// About this tenant.
    pub(crate) fn tenant(&self, id: Uuid) {
        self.facts().about.tenant = Some(id);
    }

    /// About this account.
    pub(crate) fn user(&self, id: Uuid) {
        self.facts().about.user = Some(id);
    }

    /// About the account of this address, if there is one.
    pub(crate) fn account_of(&self, email: &Email) {
        self.facts().account_of = Some(email.clone());
    }

    /// About this key.
    pub(crate) fn key(&self, id: Uuid) {
        self.facts().about.key = Some(id);
    }

    /// About this session.
    pub(crate) fn session(&self, id: Uuid) {
        self.facts().about.session = Some(id);
    }

    /// About this operation.
    pub(crate) fn operation(&self, id: Uuid) {
        self.facts().about.operation = Some(id);
    }

    /// That the call is of this kind, where its name alone does not tell what was asked for.
    pub(crate) fn of_kind(&self, event: &'static str) {
        self.facts().kind = Some(event);
    }

    /// That nobody did anything.
    pub(crate) fn nothing(&self) {
        self.facts().nothing = true;
    }

    /// Whether nobody did anything.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.facts().nothing
    }

    /// What was told by now.
    pub(super) fn event(&self, call: &'static str) -> AuditEvent {
        let facts = self.facts();
        let mut event = AuditEvent::new(facts.kind.unwrap_or(call));
        (event.actor, event.actor_id, event.means) = (facts.actor, facts.actor_id, facts.means);
        (event.about, event.account_of) = (facts.about, facts.account_of.clone());
        event
    }
}

impl<'a> FromRequest<'a> for Trail {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::of(request))
    }
}
