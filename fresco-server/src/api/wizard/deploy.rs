//! The end of the wizard.

use fresco_core::{Orchestrator, TenantId, TenantQuery};
use poem::http::StatusCode;
use poem_openapi::payload::Json;
use secrecy::SecretString;

use super::shapes::Deploying;
use super::{incomplete, subdomain, unknown};
use crate::accounts::{NewLogin, WizardChoice, WizardClaim, WizardSession};
use crate::api::auth::cookie;
use crate::api::shapes::Deployed;
use crate::audit::Trail;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Whether the tenant of a session was accepted. The store alone knows: an answer of its may have
/// been lost.
pub(super) async fn accepted(
    orchestrator: &Orchestrator,
    tenant: TenantId,
) -> Result<bool, Problem> {
    Ok(orchestrator.tenants(&TenantQuery::one(tenant)).await?.total > 0)
}

/// Each part can be repeated: account and tenant have ids that the session named beforehand.
pub(super) async fn deploy(
    platform: &Platform,
    trail: &Trail,
    token: &SecretString,
    session: &WizardSession,
    login: NewLogin,
) -> Result<Deploying, Problem> {
    let Platform { config, orchestrator, accounts, .. } = platform;
    trail.tenant(session.tenant.as_uuid());
    trail.account_of(&session.email.parse()?);
    if let Some(next) = session.next() {
        return Err(incomplete(next));
    }
    // An account is made only when its tenant can be: whoever must choose again has made nothing.
    // For whom a subdomain is kept, the store knows, once it is known whose tenant it will be.
    if let Some(name) = &session.data.subdomain
        && !accepted(orchestrator, session.tenant).await?
    {
        subdomain::untaken(orchestrator, name, session.tenant).await?;
    }
    let ask = |WizardChoice { tenant, subdomain, user }| {
        let spec = config.tenants.new_tenant(user.owner(), subdomain);
        orchestrator.deploy(tenant, spec, user.actor())
    };
    let (user, accepted) = match accounts.claim_wizard(token, ask).await? {
        WizardClaim::Owned { user, accepted } => (user, accepted),
        WizardClaim::Unknown => return Err(unknown()),
        WizardClaim::Incomplete { next } => return Err(incomplete(next)),
        WizardClaim::EmailUnverified => {
            let words = "Type the code of the letter to your address first (wizard.verifyEmail). If the letter says that the address has an account, sign in instead, or do step 1 again with its password.";
            return Err(Problem::new(StatusCode::CONFLICT, "email_unverified", words));
        }
        WizardClaim::SignInRequired => return Err(sign_in_required()),
        WizardClaim::Suspended => return Err(Problem::suspended()),
    };
    trail.turned_out(&user, accounts.is_admin(&user));
    trail.operation(accepted.operation.id.as_uuid());
    let login = accounts.open_session(&user, &login).await?.ok_or_else(sign_in_required)?;
    let deployed = Deployed::of(orchestrator, &accepted);
    Ok(Deploying::Accepted(Json(deployed), cookie::set(config, &login)))
}

/// 401: the password of step 1 is not that of the address's account, or not any more.
fn sign_in_required() -> Problem {
    let words = "This address has an account with another password. Do step 1 again with its password, or take another address.";
    Problem::new(StatusCode::UNAUTHORIZED, "sign_in_required", words)
}
