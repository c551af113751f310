//! A forgotten password, and what the links of letters lead to.
//!
//! A letter's token stands behind the `#` of its link, which browsers send to nobody. A script puts it into
//! the form and takes it out of the address; without scripts people copy it. It is used only when a person
//! sends the form: programs that look at mail follow links, too.

use askama::Template;
use serde_json::{Value, json};

use crate::config::Config;
use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, go, show, show_refused};

/// What the API says of a token that is none, or none any more.
const SPENT: &str = "unknown_token";

#[derive(Template)]
#[template(path = "forgot-password.html")]
struct Forgot {
    page: Page,
    /// Whether letters are sent at all.
    mail: Mail,
    /// Whether one was just asked for.
    sent: bool,
    email: String,
    refusal: Option<Refusal>,
}

/// Where letters go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mail {
    Sent,
    /// To whoever develops.
    Logged,
    None,
}

impl Mail {
    fn of(config: &Config) -> Self {
        match &config.smtp {
            Some(_) => Self::Sent,
            None if config.is_production() => Self::None,
            None => Self::Logged,
        }
    }
}

/// The form of a letter's link.
#[derive(Template)]
#[template(path = "letter.html")]
struct FromLetter {
    page: Page,
    kind: Kind,
    /// Whether it was just done.
    done: bool,
    token: String,
    refusal: Option<Refusal>,
}

/// What a letter asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Another password.
    Reset,
    /// Whether an address is somebody's.
    Verify,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Reset => "/reset-password",
            Self::Verify => "/verify-email",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Reset => "Set another password",
            Self::Verify => "Confirm your address",
        }
    }

    const fn call(self) -> &'static str {
        match self {
            Self::Reset => "auth.resetPassword",
            Self::Verify => "auth.verifyEmail",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Reset => "/login?done=password_set",
            Self::Verify => "/verify-email?done=confirmed",
        }
    }
}

impl FromLetter {
    fn wrong(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.of_field(field)
    }

    /// Whether another letter is needed.
    fn is_spent(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.code == SPENT)
    }
}

impl Forgot {
    fn wrong(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.of_field(field)
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    let reset = |visit| link(visit, Kind::Reset);
    let take_reset = |visit| take_link(visit, Kind::Reset);
    let verify = |visit| link(visit, Kind::Verify);
    let take_verify = |visit| take_link(visit, Kind::Verify);
    pages
        .page_with_form("/forgot-password", forgot, take_forgot)
        .page_with_form(Kind::Reset.path(), reset, take_reset)
        .page_with_form(Kind::Verify.path(), verify, take_verify)
}

async fn forgot(visit: Visit) -> Outcome {
    let (mail, sent) = (Mail::of(visit.config()), visit.query("done") == "letter");
    let page = visit.page("Forgotten password");
    show(&Forgot { page, mail, sent, email: String::new(), refusal: None })
}

async fn take_forgot(visit: Visit) -> Outcome {
    let email = visit.form().get("email").trim().to_owned();
    let call = visit.call::<Value>("auth.requestPasswordReset", json!({"email": email}));
    match call.await {
        Ok(_) => go("/forgot-password?done=letter"),
        Err(refusal) => {
            let page = visit.refused_page("Forgotten password", &refusal);
            let mail = Mail::of(visit.config());
            let refused = Some(refusal.clone());
            show_refused(&refusal, &Forgot { page, mail, sent: false, email, refusal: refused })
        }
    }
}

async fn link(visit: Visit, kind: Kind) -> Outcome {
    let done = kind == Kind::Verify && visit.query("done") == "confirmed";
    let page = visit.page(kind.title());
    show(&FromLetter { page, kind, done, token: String::new(), refusal: None })
}

async fn take_link(visit: Visit, kind: Kind) -> Outcome {
    let token = visit.form().get("token").trim();
    // Somebody without scripts may have copied the whole link.
    let token = token.rsplit('#').next().unwrap_or(token).to_owned();
    let body = json!({"token": token, "password": visit.form().get("password")});
    match visit.call::<Value>(kind.call(), body).await {
        Ok(_) => go(kind.done()),
        Err(refusal) => {
            let page = match refusal.code.as_str() {
                // The page itself says so.
                SPENT => visit.page("This link is good no more"),
                _ => visit.refused_page(kind.title(), &refusal),
            };
            let refused = Some(refusal.clone());
            show_refused(&refusal, &FromLetter { page, kind, done: false, token, refusal: refused })
        }
    }
}
