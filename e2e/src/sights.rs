//! Everything that there is to see: each page of the server, and the states a page can be in.

mod states;

use reqwest::StatusCode;

use self::states::STATES;
use crate::browser::Browser;
use crate::site::{Setup, Site, Who};
use Act::{Again, Click, Offline, Read, See, SignedOut, TooLate, Type, Unclaimed};

/// Something to see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// What it is called, in names of files.
    pub name: String,
    /// Who sees it.
    pub who: Who,
    /// Of which server.
    pub setup: Setup,
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
    /// Loads the page again, and lets this run before its own scripts.
    Again(&'static str),
    /// Loses the network.
    Offline,
    /// Is signed out in another window.
    SignedOut,
    /// Lets the hour pass in which somebody signs up.
    TooLate,
    /// Lets the hours pass in which the owner sets up the app whose gate is closed.
    Unclaimed,
}

impl Site<'_> {
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
            setup: state.setup,
            path: self.path_of(state.path),
            acts: state.acts.concat(),
            complains: state.complains,
        }));
        // One server after the other, and at each of them every visitor once.
        sights.sort_by_key(|sight| (sight.setup, sight.who));
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
            ("{removed}", self.removed.clone()),
            ("{coming}", self.coming.clone()),
            ("{busy}", self.busy.clone()),
            ("{account}", self.account.clone()),
            ("{invite}", self.invite.clone()),
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
                let (setup, acts) = (Setup::Usual, Vec::new());
                return Some(Sight { name, who, setup, path, acts, complains: &[] });
            }
            leads_on |= answer.url().path() != "/login";
        }
        assert!(leads_on, "nobody can see the page {page}");
        None
    }
}

impl Sight {
    /// Looks at it.
    pub async fn show(&self, site: &Site<'_>, browser: &Browser) {
        let origin = site.origin(self.setup);
        browser.offline(false).await;
        browser.forget_storage(&origin).await;
        // An address that differs behind its `#` alone would not be loaded again.
        browser.goto("about:blank").await;
        browser.goto(&format!("{origin}{}", self.path)).await;
        for act in &self.acts {
            match *act {
                Type(field, text) => browser.type_into(field, text).await,
                Click(element) => browser.click(element).await,
                See(element) => browser.wait_for(element).await,
                Read(text) => browser.wait_for_text(text).await,
                Again(script) => browser.reload_with(script).await,
                Offline => browser.offline(true).await,
                SignedOut => browser.forget_session().await,
                TooLate => site.end_sign_ups().await,
                Unclaimed => site.miss_claim().await,
            }
        }
    }

    /// Whether this is where the page is left as no other sight would want it.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, SignedOut))
    }
}
