//! The first page.

use askama::Template;
use fresco_core::{Guarantee, Isolation};

use crate::accounts::SignupPolicy;
use crate::config::Config;
use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, show};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    offer: Offer,
}

/// What this platform offers, as far as its settings say.
struct Offer {
    /// The domain of the instances.
    domain: String,
    sign_up: SignUp,
    /// Whether an instance has a database of its own.
    own_database: bool,
    /// Whether a new instance waits for its owner.
    gated: bool,
    /// Whether what goes between a browser and an instance is encrypted.
    https: bool,
    /// Whether what keeps instances from each other must be there.
    walled: bool,
    memory_mb: u32,
    /// For how long the log keeps what happened.
    log_days: u64,
}

/// Who may make an account.
enum SignUp {
    Open,
    /// Who has an address of these domains.
    Domains(String),
    Invited,
    Nobody,
}

impl Offer {
    fn of(config: &Config) -> Self {
        let sign_up = match &config.signup {
            SignupPolicy::Open => SignUp::Open,
            SignupPolicy::Domains(domains) => SignUp::Domains(domains.join(" or ")),
            SignupPolicy::Invite => SignUp::Invited,
            SignupPolicy::Closed => SignUp::Nobody,
        };
        let tenants = &config.tenants;
        Self {
            domain: config.base_domain.to_string(),
            sign_up,
            own_database: tenants.isolation == Isolation::Database,
            gated: tenants.app.claim_path.is_some(),
            https: config.traefik.https,
            walled: !config.allow_unenforced.contains(&Guarantee::Network),
            memory_mb: tenants.memory_mb.default,
            log_days: config.audit_keep.as_secs() / 86_400,
        }
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/", home)
}

async fn home(visit: Visit) -> Outcome {
    let offer = Offer::of(visit.config());
    show(&Home { page: visit.page("A Fresco of your own"), offer })
}
