//! The end of the wizard.

use fresco_core::{Orchestrator, Tenant, TenantId, TenantQuery};
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
    let (all, token) = (platform.clone(), token.clone());
    // A tenant that was accepted has its owner, whatever becomes of the request.
    let claim = async move {
        let Platform { config, orchestrator, accounts, .. } = &all;
        let ask = |WizardChoice { tenant, subdomain, user }| {
            let spec = config.tenants.new_tenant(user.owner(), subdomain);
            orchestrator.deploy(tenant, spec, user.actor())
        };
        accounts.claim_wizard(&token, ask).await
    };
    let (user, accepted) = match platform.unbroken(claim).await? {
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

/// The newest tenants whose set-up is looked at.
const LATELY: u64 = 20;

/// How long a set-up lately took, from the wish to an address that answers.
pub(super) async fn usual_seconds(orchestrator: &Orchestrator) -> Result<Option<u32>, Problem> {
    let mut query = TenantQuery::all();
    query.limit = LATELY;
    let tenants = orchestrator.tenants(&query).await?.tenants;
    let took = |tenant: &Tenant| Some(tenant.state.first_active_at? - tenant.created_at);
    Ok(median(tenants.iter().filter_map(took).map(|took| took.num_seconds()).collect()))
}

/// The higher one of the two in the middle, where there are two: better a little early than late.
fn median(mut seconds: Vec<i64>) -> Option<u32> {
    seconds.sort_unstable();
    let middle = *seconds.get(seconds.len() / 2)?;
    // The database's clock may have been set back; nothing takes less than a second.
    Some(u32::try_from(middle.max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_took_long_does_not_count_for_more() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9]), Some(9));
        assert_eq!(median(vec![8, 9, 4000]), Some(9));
        assert_eq!(median(vec![8, 10]), Some(10));
        assert_eq!(median(vec![-5]), Some(1));
    }
}
