//! Everything that there is to see: each page of the server, and the states a page can be in.

use reqwest::StatusCode;

use crate::browser::Browser;
use crate::site::{Site, Who};
use Act::{Click, Offline, Read, See, SignedOut, Type};

/// Something to see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// What it is called, in names of files.
    pub name: String,
    /// Who sees it.
    pub who: Who,
    /// The address.
    pub path: String,
    /// What is done there, until it is seen.
    pub acts: Vec<Act>,
    /// What the page may complain of: parts of its words.
    pub complains: &'static [&'static str],
}

/// What somebody does on a page.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Types text into a field.
    Type(&'static str, &'static str),
    /// Clicks on an element.
    Click(&'static str),
    /// Waits until an element is seen.
    See(&'static str),
    /// Waits until this stands on the page.
    Read(&'static str),
    /// Loses the network.
    Offline,
    /// Is signed out in another window.
    SignedOut,
}

struct State {
    name: &'static str,
    who: Who,
    path: &'static str,
    acts: &'static [&'static [Act]],
    complains: &'static [&'static str],
}

/// A state that an address alone leads to.
const fn at(name: &'static str, who: Who, path: &'static str) -> State {
    after(name, who, path, &[])
}

/// A state that something has to be done for.
const fn after(
    name: &'static str,
    who: Who,
    path: &'static str,
    acts: &'static [&'static [Act]],
) -> State {
    State { name, who, path, acts, complains: &[] }
}

impl State {
    const fn complaining(mut self, of: &'static [&'static str]) -> Self {
        self.complains = of;
        self
    }
}

/// The states beside those that each page is in for the first who may see it.
const STATES: &[State] = &[
    at("not-found", Who::Nobody, "/nothing/here").complaining(&["404"]),
    at("not-found-signed-in", Who::Owner, "/instances/00000000-0000-4000-8000-000000000000")
        .complaining(&["404"]),
    at("forbidden", Who::Owner, "/admin").complaining(&["403"]),
    at("home-signed-in", Who::Owner, "/"),
    at("login-session-ended", Who::Nobody, "/login?done=session_ended"),
    after(
        "login-refused",
        Who::Nobody,
        "/login",
        &[&[
            Type("#email", "ada@university.example"),
            Type("#password", "not the password"),
            Click("main form button:not([type=button])"),
            See(".notice.error"),
        ]],
    )
    .complaining(&["status of 4"]),
    at("forgot-password-sent", Who::Nobody, "/forgot-password?done=letter"),
    at("verify-email-done", Who::Nobody, "/verify-email?done=confirmed"),
    after("signup-wrong", Who::Nobody, "/signup", &[&[ONWARD, See("#email-wrong")]]),
    after("signup-2-use", Who::Nobody, "/signup", &[ACCOUNT]),
    after(
        "signup-3-address",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, USE, &[Type("#subdomain", "sleep-diaries"), See("#suggestions li")]],
    ),
    after(
        "signup-4-terms",
        Who::Nobody,
        "/signup",
        &[
            ACCOUNT,
            USE,
            &[
                Type("#subdomain", "friends-of-friends"),
                Read("is free"),
                Click("#address-form .onward .button:not([type=button])"),
                See("#terms-form"),
            ],
        ],
    ),
    after("signup-failed", Who::Owner, "/signup/{failed}", &[&[See("[data-state=failed]")]]),
    after("signup-claim", Who::Owner, "/signup/{new}", &[&[See("#deployment .claim")]]),
    after("dashboard-none", Who::Newcomer, "/dashboard", &[&[See(".empty")]]),
    after("dashboard-list", Who::Owner, "/dashboard?view=list", &[&[See(".rows")]]),
    after("dashboard-many", Who::Collector, "/dashboard", &[&[See(".pager")]]),
    after(
        "dashboard-many-list",
        Who::Collector,
        "/dashboard?view=list&page=2",
        &[&[See(".pager")]],
    ),
    after("dashboard-none-like-it", Who::Owner, "/dashboard?search=zebra", &[&[See(".empty")]]),
    after("dashboard-offline", Who::Owner, "/dashboard", &[&[Offline, See("#connection")]])
        .complaining(&["ERR_INTERNET_DISCONNECTED"]),
    after("dashboard-session-ended", Who::Owner, "/dashboard", &[&[SignedOut, See("#connection")]])
        .complaining(&["status of 401"]),
    after("instance-new", Who::Owner, "/instances/{new}", &[&[See("#claim")]]),
    at("instance-stopped", Who::Owner, "/instances/{stopped}"),
    at("instance-failed", Who::Owner, "/instances/{failed}"),
    at("instance-log-stopped", Who::Owner, "/instances/{stopped}/log"),
    after(
        "instance-remove",
        Who::Owner,
        "/instances/{stopped}",
        &[&[Click("#remove"), See("#removal[open]")]],
    ),
    after(
        "instance-remove-refused",
        Who::Owner,
        "/instances/{stopped}/destroy",
        &[&[Type("#confirm", "another"), Click("main form .button.danger"), See("#confirm-wrong")]],
    )
    .complaining(&["status of 4"]),
    after(
        "instances-new-taken",
        Who::Owner,
        "/instances/new",
        &[&[Type("#subdomain", "sleep-diaries"), See("#suggestions li")]],
    ),
    after("settings-keys-none", Who::Newcomer, "/settings/keys", &[&[See(".empty")]]),
    after(
        "settings-keys-new-refused",
        Who::Owner,
        "/settings/keys/new",
        &[&[
            Type("#name", "Nightly"),
            Click("main form button:not([type=button])"),
            See("#scopes-wrong"),
        ]],
    )
    .complaining(&["status of 4"]),
];

/// From the first step of signing up to the second.
const ONWARD: Act = Click("#account-form .onward .button:not([type=button])");
/// The first step.
const ACCOUNT: &[Act] = &[
    Type("#email", "grace@university.example"),
    Type("#password", "seven blue bicycles uphill"),
    ONWARD,
    See("#use-form"),
];
/// The second one.
const USE: &[Act] = &[
    Click(".choice [value=study]"),
    Click("#use-form .onward .button:not([type=button])"),
    See("#address-form"),
];

impl Site {
    /// All sights: each page that the server knows, by the first who may see it, and the states.
    ///
    /// # Panics
    /// When there is a page that nobody can see, or one whose address has a part that is not known here.
    pub async fn sights(&self) -> Vec<Sight> {
        let mut sights = Vec::new();
        for page in fresco_server::pages() {
            let path = self.path_of(page);
            sights.extend(self.first_to_see(page, path).await);
        }
        sights.extend(STATES.iter().map(|state| Sight {
            name: state.name.into(),
            who: state.who,
            path: self.path_of(state.path),
            acts: state.acts.concat(),
            complains: state.complains,
        }));
        // Each visitor signs in once.
        sights.sort_by_key(|sight| sight.who);
        sights
    }

    fn path_of(&self, page: &str) -> String {
        let known = [
            ("/admin/users/{id}", format!("/admin/users/{}", self.account)),
            ("/settings/keys/{id}", format!("/settings/keys/{}", self.key)),
            ("/instances/{id}", format!("/instances/{}", self.running)),
            ("/signup/{id}", format!("/signup/{}", self.running)),
            ("{new}", self.new.clone()),
            ("{stopped}", self.stopped.clone()),
            ("{failed}", self.failed.clone()),
        ];
        let path =
            known.iter().fold(page.to_owned(), |path, (part, value)| path.replace(part, value));
        assert!(!path.contains('{'), "what does {page} stand for? Tell it in e2e/src/sights.rs");
        path
    }

    /// Nothing where the address does no more than lead to another page.
    async fn first_to_see(&self, page: &str, path: String) -> Option<Sight> {
        let mut leads_on = false;
        for who in [Who::Nobody, Who::Owner, Who::Admin] {
            let answer = self.visitor(who).get(&path).header("accept", "text/html").send().await;
            let answer = answer.expect("the server answers");
            if answer.status() != StatusCode::OK {
                continue;
            }
            if answer.url().path() == path {
                let name = page.trim_matches('/').replace(['{', '}'], "").replace('/', "-");
                let name = if name.is_empty() { "home".into() } else { name };
                return Some(Sight { name, who, path, acts: Vec::new(), complains: &[] });
            }
            leads_on |= answer.url().path() != "/login";
        }
        assert!(leads_on, "nobody can see the page {page}");
        None
    }
}

impl Sight {
    /// Looks at it.
    pub async fn show(&self, site: &Site, browser: &Browser) {
        browser.offline(false).await;
        browser.forget_storage(&site.origin).await;
        browser.goto(&format!("{}{}", site.origin, self.path)).await;
        for act in &self.acts {
            match *act {
                Type(field, text) => browser.type_into(field, text).await,
                Click(element) => browser.click(element).await,
                See(element) => browser.wait_for(element).await,
                Read(text) => browser.wait_for_text(text).await,
                Offline => browser.offline(true).await,
                SignedOut => browser.forget_session().await,
            }
        }
    }

    /// Whether this is where the page is left as no other sight would want it.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, SignedOut))
    }
}
