//! What is typed in the wizard.

use fresco_core::Subdomain;
use serde::{Deserialize, Serialize};

use crate::accounts::Password;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseCase {
    /// A study.
    Study,
    /// Trying it out.
    Testing,
    /// Learning or teaching.
    Learning,
    /// Something else.
    Other,
}

impl UseCase {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Study => "study",
            Self::Testing => "testing",
            Self::Learning => "learning",
            Self::Other => "other",
        }
    }
}

/// What was typed so far, without the password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WizardData {
    /// Step 1.
    pub name: Option<String>,
    /// Step 2.
    pub use_case: Option<UseCase>,
    /// Step 2.
    pub other_text: Option<String>,
    /// Step 3.
    pub subdomain: Option<Subdomain>,
    /// Step 4: the terms and the privacy policy were accepted.
    pub accepted: bool,
}

/// What is typed in one step. No text has a NUL in it.
#[derive(Clone, Debug)]
pub enum WizardStep {
    /// Step 1.
    Account {
        /// The password.
        password: Password,
        /// The name.
        name: Option<String>,
    },
    /// Step 2.
    UseCase {
        /// What somebody wants to do.
        use_case: UseCase,
        /// In other words.
        other_text: Option<String>,
    },
    /// Step 3.
    Subdomain(Subdomain),
    /// Step 4: the terms and the privacy policy are accepted.
    Accept,
}

impl WizardStep {
    /// Its place, 1 to 4.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Account { .. } => 1,
            Self::UseCase { .. } => 2,
            Self::Subdomain(_) => 3,
            Self::Accept => 4,
        }
    }
}

impl WizardData {
    pub(super) fn take(&mut self, step: WizardStep) {
        match step {
            WizardStep::Account { name, .. } => self.name = name,
            WizardStep::UseCase { use_case, other_text } => {
                (self.use_case, self.other_text) = (Some(use_case), other_text);
            }
            WizardStep::Subdomain(subdomain) => self.subdomain = Some(subdomain),
            WizardStep::Accept => self.accepted = true,
        }
    }
}
