//! What the wizard takes and answers.

use chrono::{DateTime, Utc};
use poem_openapi::payload::Json;
use poem_openapi::types::Password as PasswordText;
use poem_openapi::{ApiResponse, Enum, Object};
use uuid::Uuid;

use crate::accounts::{Password, WizardSession, WizardStep};
use crate::api::shapes::{Deployed, Operation, TenantStatus};
use crate::api::text::Text;
use crate::api::{auth, choice};
use crate::http::problem::Problem;

/// Characters of a use case in other words.
const LONGEST_TEXT: usize = 1000;

/// Which subdomain.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct SubdomainQuestion {
    /// The subdomain, as it was typed.
    pub(super) subdomain: Text,
}

/// Why a subdomain can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "SubdomainReason", rename_all = "camelCase")]
pub(super) enum Reason {
    /// A tenant has it.
    Taken,
    /// Somebody else had it until lately, and it is kept for them.
    Cooldown,
    /// The platform keeps it.
    Reserved,
    /// It is none: a subdomain has 3 to 63 of a-z, 0-9 and single inner hyphens, and a letter.
    Invalid,
}

/// Whether a subdomain can be had.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct SubdomainAnswer {
    /// The subdomain, as it was typed.
    pub(super) subdomain: String,
    /// Whether it can be had at this moment.
    pub(super) available: bool,
    /// Why not.
    pub(super) reason: Option<Reason>,
    /// From when on, for `cooldown`.
    pub(super) available_from: Option<DateTime<Utc>>,
    /// Up to five that can; none when it can be had itself.
    pub(super) suggestions: Vec<String>,
}

/// Who begins.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(super) struct WizardBegin {
    /// The e-mail address.
    pub(super) email: Text,
    /// The invite, where only who was invited may sign up.
    pub(super) invite: Option<PasswordText>,
}

/// A session of the wizard that was begun.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct WizardBegun {
    /// The session's secret.
    pub(super) session_id: String,
    /// When it ends.
    pub(super) expires_at: DateTime<Utc>,
}

/// Which session of the wizard.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WizardHolder {
    /// The session's secret.
    pub(super) session_id: Text,
}

/// The code of a letter.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WizardCodeTyped {
    /// The session's secret.
    pub(super) session_id: Text,
    /// The eight digits; blanks between them don't matter.
    pub(super) code: Text,
}

/// One step of the wizard.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WizardTyped {
    /// The session's secret.
    pub(super) session_id: Text,
    /// The step, 1 to 4.
    pub(super) step: u8,
    /// What was typed: the fields of this step, and no others.
    pub(super) data: WizardFields,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase", remote = "crate::accounts::UseCase")]
pub(super) enum UseCase {
    Study,
    Testing,
    Learning,
    Other,
}

/// What is typed in the steps.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WizardFields {
    /// Step 1: the password, 10 to 128 characters.
    password: Option<PasswordText>,
    /// Step 1, at will: the person's name, up to 200 characters.
    name: Option<Text>,
    /// Step 2: what somebody wants to do.
    use_case: Option<UseCase>,
    /// Step 2, at will: the same in other words, up to 1000 characters.
    other_text: Option<Text>,
    /// Step 3: the tenant's name below the platform's domain.
    subdomain: Option<Text>,
    /// Step 4: whether the terms are accepted.
    terms_accepted: Option<bool>,
    /// Step 4: whether the privacy policy is accepted.
    privacy_accepted: Option<bool>,
}

impl WizardFields {
    /// The step that this is, when its fields are those of the step with this number.
    pub(super) fn step(self, number: u8) -> Result<WizardStep, Problem> {
        if !(1..=4).contains(&number) {
            return Err(Problem::field("step", "The wizard has the steps 1 to 4."));
        }
        for (field, step, given) in [
            ("password", 1, self.password.is_some()),
            ("name", 1, self.name.is_some()),
            ("useCase", 2, self.use_case.is_some()),
            ("otherText", 2, self.other_text.is_some()),
            ("subdomain", 3, self.subdomain.is_some()),
            ("termsAccepted", 4, self.terms_accepted.is_some()),
            ("privacyAccepted", 4, self.privacy_accepted.is_some()),
        ] {
            if given && step != number {
                let words = format!("This belongs to step {step}, not to step {number}.");
                return Err(Problem::field(field, words));
            }
        }
        let missing = |field| Problem::field(field, format!("Step {number} needs this."));
        match number {
            1 => {
                let text = self.password.ok_or_else(|| missing("password"))?;
                let password = Password::new(text.0.into())?;
                Ok(WizardStep::Account { password, name: auth::name(self.name)? })
            }
            2 => {
                let use_case = self.use_case.ok_or_else(|| missing("useCase"))?.into();
                let other_text = auth::plain("otherText", self.other_text, LONGEST_TEXT)?;
                Ok(WizardStep::UseCase { use_case, other_text })
            }
            3 => {
                let text = self.subdomain.ok_or_else(|| missing("subdomain"))?;
                Ok(WizardStep::Subdomain(choice::subdomain(&text)?))
            }
            _ => {
                auth::accepted(self.terms_accepted, self.privacy_accepted)?;
                Ok(WizardStep::Accept)
            }
        }
    }
}

/// A session of the wizard.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct WizardState {
    /// The address, as it was typed.
    email: String,
    /// Whether the code of the letter to it was typed; absent where none is needed.
    email_verified: Option<bool>,
    /// The last step that is done, 0 to 4.
    step_completed: u8,
    /// What was typed so far.
    data: WizardData,
    /// When the session ends.
    expires_at: DateTime<Utc>,
}

/// What was typed so far, without the password.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct WizardData {
    /// Step 1: the person's name.
    name: Option<String>,
    /// Step 2: what somebody wants to do.
    use_case: Option<UseCase>,
    /// Step 2: the same in other words.
    other_text: Option<String>,
    /// Step 3: the tenant's name below the platform's domain.
    subdomain: Option<String>,
    /// Step 4: whether the terms were accepted.
    terms_accepted: Option<bool>,
    /// Step 4: whether the privacy policy was accepted.
    privacy_accepted: Option<bool>,
}

impl WizardState {
    /// A session, of a platform that demands the code of a letter or does not.
    pub(super) fn of(session: WizardSession, code_demanded: bool) -> Self {
        let data = session.data;
        let accepted = data.accepted.then_some(true);
        Self {
            email: session.email,
            email_verified: code_demanded.then_some(session.email_verified),
            step_completed: session.step_completed,
            data: WizardData {
                name: data.name,
                use_case: data.use_case.map(Into::into),
                other_text: data.other_text,
                subdomain: data.subdomain.map(Into::into),
                terms_accepted: accepted,
                privacy_accepted: accepted,
            },
            expires_at: session.expires_at,
        }
    }
}

/// Which tenant's deployment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeploymentOf {
    /// The tenant's id.
    pub(super) tenant_id: Uuid,
}

/// Where a tenant stands.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct Deployment {
    /// Where it stands.
    pub(super) status: TenantStatus,
    /// Its newest operation.
    pub(super) operation: Option<Operation>,
    /// How many seconds a new tenant lately took on this platform until it could be reached: the
    /// median of the newest ones. Absent as long as there was none.
    pub(super) expected_seconds: Option<u32>,
}

/// A tenant that was accepted, and its owner signed in.
#[derive(ApiResponse)]
pub(super) enum Deploying {
    /// Accepted: it is written down, and will be done.
    #[oai(status = 202)]
    Accepted(
        Json<Deployed>,
        /// The session's cookie.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}
