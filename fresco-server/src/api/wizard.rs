//! The wizard: from an address to a tenant, step by step.

mod deploy;
mod shapes;
mod subdomain;

use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use secrecy::{ExposeSecret, SecretString};

use crate::accounts::{Email, WizardCode, WizardSession, WizardStep, WizardUpdate};
use crate::api::Tag;
use crate::api::attempts;
use crate::api::auth::Nothing;
use crate::api::body::Body;
use crate::api::recovery::Noted;
use crate::api::tenants::{newest_operation, owned};
use crate::audit::Trail;
use crate::http::caller::{Caller, MaybeCaller, TenantsRead};
use crate::http::client::Client;
use crate::http::problem::Problem;
use crate::platform::Platform;
use shapes::{
    Deploying, Deployment, DeploymentOf, SubdomainAnswer, SubdomainQuestion, WizardBegin,
    WizardBegun, WizardCodeTyped, WizardHolder, WizardState, WizardTyped,
};

#[derive(Clone, Debug)]
pub(crate) struct WizardApi {
    platform: Platform,
}

impl WizardApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    async fn session(&self, token: &SecretString) -> Result<WizardSession, Problem> {
        self.platform.accounts.wizard(token).await?.ok_or_else(unknown)
    }

    fn shown(&self, session: WizardSession) -> Json<WizardState> {
        Json(WizardState::of(session, self.platform.accounts.demands_code()))
    }

    fn needs_mail(&self) -> Result<(), Problem> {
        self.platform.accounts.demands_code().then_some(()).ok_or_else(Problem::no_mail)
    }
}

/// 404: no session of the wizard, or none any more.
fn unknown() -> Problem {
    let words = "There is no such session of the wizard, or it has ended. Begin a new one.";
    Problem::new(StatusCode::NOT_FOUND, "unknown_session", words)
}

/// 409: this step comes first.
fn incomplete(next: u8) -> Problem {
    let words = format!("Step {next} of the wizard comes next.");
    Problem::new(StatusCode::CONFLICT, "wizard_incomplete", words).of_field("step")
}

#[OpenApi(tag = "Tag::Wizard")]
impl WizardApi {
    /// Tells whether a subdomain can be had.
    ///
    /// Where it can't, `reason` says why, and `suggestions` are up to five that can. One that was
    /// somebody's until lately (`cooldown`) can be had by that person alone, who signs in first, and by
    /// others from `availableFrom` on. Errors: 422
    /// `invalid` for more than 256 characters.
    #[oai(
        path = "/api/wizard.checkSubdomain",
        method = "post",
        operation_id = "wizard_check_subdomain"
    )]
    async fn check_subdomain(
        &self,
        caller: MaybeCaller,
        body: Body<SubdomainQuestion>,
    ) -> Result<Json<SubdomainAnswer>, Problem> {
        let Body(SubdomainQuestion { subdomain: text }) = body;
        let owner = subdomain::owner(&caller);
        Ok(Json(subdomain::check(&self.platform.orchestrator, owner.as_ref(), text.0).await?))
    }

    /// Begins a session of the wizard.
    ///
    /// `sessionId` is a secret: whoever has it is in the session, for one hour. The same address
    /// again begins another session, and nothing tells whether the address has an account. When
    /// there are 10,000 sessions, one more ends the oldest without a password, or else the oldest.
    /// Where the platform sends mail, a letter to the address holds the code for
    /// `wizard.verifyEmail`; one that has an account gets a letter that says so instead.
    /// Errors: 422 `invalid` with the `field`; 403 `signup_closed`, `email_domain_refused` or
    /// `invite_required` where the operators let not everybody sign up: whoever has an account signs in
    /// there, and calls `tenants.create`.
    #[oai(
        path = "/api/wizard.createSession",
        method = "post",
        operation_id = "wizard_create_session"
    )]
    async fn create_session(
        &self,
        trail: Trail,
        body: Body<WizardBegin>,
    ) -> Result<Json<WizardBegun>, Problem> {
        let email: Email = body.email.parse()?;
        trail.account_of(&email);
        let Body(WizardBegin { invite, .. }) = body;
        let invite = invite.map(|token| token.0.into());
        let new = self.platform.accounts.begin_wizard(&email, invite.as_ref()).await?;
        let session_id = new.token.expose_secret().to_owned();
        Ok(Json(WizardBegun { session_id, expires_at: new.expires_at }))
    }

    /// Takes in one step.
    ///
    /// Step 1: `password`, `name`?. Step 2: `useCase`, `otherText`?. Step 3: `subdomain`. Step 4:
    /// `termsAccepted` and `privacyAccepted`, both true. They come in this order; a step that is
    /// done can be done again, until the tenant is deployed. The password is hashed at once and
    /// never returned. Errors: 404 `unknown_session`; 409 `wizard_incomplete` when another step
    /// comes first, `subdomain_taken`, `wizard_finished` once the tenant is deployed,
    /// `account_made` for step 1 once the account is there, `subdomain_cooldown` for one that was
    /// somebody else's until lately; 422 `invalid` with the `field`; 429 `rate_limited` after too many
    /// passwords for one address.
    #[oai(
        path = "/api/wizard.updateSession",
        method = "post",
        operation_id = "wizard_update_session"
    )]
    async fn update_session(
        &self,
        client: Client,
        caller: MaybeCaller,
        trail: Trail,
        body: Body<WizardTyped>,
    ) -> Result<Json<WizardState>, Problem> {
        let Body(WizardTyped { session_id, step, data }) = body;
        let token = SecretString::from(session_id.0);
        let session = self.session(&token).await?;
        trail.tenant(session.tenant.as_uuid());
        trail.account_of(&session.email.parse()?);
        let step = data.step(step)?;
        let orchestrator = &self.platform.orchestrator;
        if deploy::accepted(orchestrator, session.tenant).await? {
            let words =
                "The tenant of this session is deployed; nothing of it can be changed here.";
            return Err(Problem::new(StatusCode::CONFLICT, "wizard_finished", words));
        }
        match &step {
            WizardStep::Subdomain(name) => {
                let owner = subdomain::owner(&caller);
                subdomain::free(orchestrator, owner.as_ref(), name, session.tenant).await?;
            }
            // Where the address has an account, its password is tried.
            WizardStep::Account { .. } => {
                attempts::count(&self.platform, &session.email.parse()?, client.address).await?;
            }
            _ => {}
        }
        match self.platform.accounts.update_wizard(&token, step).await? {
            WizardUpdate::Done(session) => Ok(self.shown(session)),
            WizardUpdate::Unknown => Err(unknown()),
            WizardUpdate::Early { next } => Err(incomplete(next)),
            WizardUpdate::AccountMade => {
                let words =
                    "The account of this session is made; its password can't be changed here.";
                Err(Problem::new(StatusCode::CONFLICT, "account_made", words))
            }
        }
    }

    /// Shows how far a session is.
    ///
    /// The password is not shown. Errors: 404 `unknown_session`.
    #[oai(path = "/api/wizard.getSession", method = "post", operation_id = "wizard_get_session")]
    async fn get_session(&self, body: Body<WizardHolder>) -> Result<Json<WizardState>, Problem> {
        let Body(WizardHolder { session_id }) = body;
        Ok(self.shown(self.session(&session_id.0.into()).await?))
    }

    /// Shows by the code of a letter that the address is this person's.
    ///
    /// It can be done at any time before the tenant is deployed. Errors: 403 `wrong_code` for any
    /// other than the code that was mailed last, 403 `code_spent` after ten wrong ones in a session;
    /// 404 `unknown_session`; 409 `no_mail` where no code is needed.
    #[oai(path = "/api/wizard.verifyEmail", method = "post", operation_id = "wizard_verify_email")]
    async fn verify_email(
        &self,
        trail: Trail,
        body: Body<WizardCodeTyped>,
    ) -> Result<Json<WizardState>, Problem> {
        self.needs_mail()?;
        let Body(WizardCodeTyped { session_id, code }) = body;
        let refused = |code, words| Problem::new(StatusCode::FORBIDDEN, code, words);
        let (token, code) = (session_id.0.into(), code.0.into());
        trail.tenant(self.session(&token).await?.tenant.as_uuid());
        match self.platform.accounts.verify_wizard(&token, &code).await? {
            WizardCode::Done(session) => Ok(self.shown(session)),
            WizardCode::Unknown => Err(unknown()),
            WizardCode::Wrong => {
                let words =
                    "This is not the code of the last letter. Look again, or ask for another.";
                Err(refused("wrong_code", words).of_field("code"))
            }
            WizardCode::Spent => {
                let words = "Too many codes were wrong. Start over.";
                Err(refused("code_spent", words))
            }
        }
    }

    /// Sends another code in place of the one before.
    ///
    /// An address gets at most five an hour. Errors: 404 `unknown_session`; 409 `no_mail` where no
    /// code is needed.
    #[oai(path = "/api/wizard.resendCode", method = "post", operation_id = "wizard_resend_code")]
    async fn resend_code(&self, trail: Trail, body: Body<WizardHolder>) -> Result<Noted, Problem> {
        self.needs_mail()?;
        let token = body.0.session_id.0.into();
        trail.tenant(self.session(&token).await?.tenant.as_uuid());
        match self.platform.accounts.resend_code(&token).await? {
            true => Ok(Noted::Noted(Json(Nothing {}))),
            false => Err(unknown()),
        }
    }

    /// Makes the account, signs it in, and deploys its tenant.
    ///
    /// Repeated with the same session, also at the same time or after an answer was lost, it gives
    /// the same answer. Where the address has an account already, its password must be the one of
    /// step 1: then the tenant is added to it. Errors: 401 `sign_in_required` when it is not (which
    /// tells that the address has an account; do step 1 again with its password); 404
    /// `unknown_session`; 409 `wizard_incomplete` when a step is missing, `email_unverified` when the
    /// code of the letter is (and the password of step 1 is not that of the address's account),
    /// `subdomain_taken` when
    /// somebody was faster (do step 3 again); 503 `at_capacity` when there is no room for one more
    /// tenant: no account is made, and the session can be deployed later.
    #[oai(
        path = "/api/wizard.deployTenant",
        method = "post",
        operation_id = "wizard_deploy_tenant"
    )]
    async fn deploy_tenant(
        &self,
        client: Client,
        trail: Trail,
        body: Body<WizardHolder>,
    ) -> Result<Deploying, Problem> {
        let Body(WizardHolder { session_id }) = body;
        let token = SecretString::from(session_id.0);
        let session = self.session(&token).await?;
        deploy::deploy(&self.platform, &trail, &token, &session, client.login(false)).await
    }

    /// Tells where a tenant stands, with its newest operation.
    ///
    /// Errors: 401 `not_signed_in`; 404 for an unknown tenant, or one of somebody else's.
    #[oai(
        path = "/api/wizard.getDeploymentStatus",
        method = "post",
        operation_id = "wizard_get_deployment_status"
    )]
    async fn get_deployment_status(
        &self,
        caller: Caller<TenantsRead>,
        body: Body<DeploymentOf>,
    ) -> Result<Json<Deployment>, Problem> {
        let tenant = owned(&self.platform, &caller.user, body.tenant_id).await?;
        let operation = newest_operation(&self.platform, tenant.id).await?;
        Ok(Json(Deployment {
            status: tenant.state.status.into(),
            operation: operation.as_ref().map(Into::into),
            expected_seconds: deploy::usual_seconds(&self.platform.orchestrator).await?,
        }))
    }
}
