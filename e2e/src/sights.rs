//! Everything that there is to see: each page of the server, and the states a page can be in.

use reqwest::StatusCode;

use crate::browser::Browser;
use crate::site::{Site, Who};

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
    pub acts: &'static [Act],
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
    acts: &'static [Act],
    complains: &'static [&'static str],
}

/// The states beside those that each page is in for the first who may see it.
const STATES: [State; 4] = [
    state("not-found", Who::Nobody, "/nothing/here", &[], &["404"]),
    state(
        "not-found-signed-in",
        Who::Owner,
        "/instances/00000000-0000-4000-8000-000000000000",
        &[],
        &["404"],
    ),
    state(
        "login-session-ended",
        Who::Nobody,
        "/login?done=session_ended&next=%2Fdashboard",
        &[],
        &[],
    ),
    state(
        "login-refused",
        Who::Nobody,
        "/login",
        &[
            Act::Type("#email", "ada@university.example"),
            Act::Type("#password", "not the password"),
            Act::Click("main form button:not([type=button])"),
            Act::See(".notice.error"),
        ],
        &["status of 4"],
    ),
];

const fn state(
    name: &'static str,
    who: Who,
    path: &'static str,
    acts: &'static [Act],
    complains: &'static [&'static str],
) -> State {
    State { name, who, path, acts, complains }
}

impl Site {
    /// All sights: each page that the server knows, by the first who may see it, and the states.
    ///
    /// # Panics
    /// When there is a page that nobody can see, or one whose address has a part that is not known here.
    pub async fn sights(&self) -> Vec<Sight> {
        let mut sights = Vec::new();
        for page in fresco_server::pages() {
            let path = self.path_of(page);
            sights.push(self.first_to_see(page, path).await);
        }
        sights.extend(STATES.iter().map(|state| Sight {
            name: state.name.into(),
            who: state.who,
            path: self.path_of(state.path),
            acts: state.acts,
            complains: state.complains,
        }));
        // Each visitor signs in once.
        sights.sort_by_key(|sight| sight.who);
        sights
    }

    fn path_of(&self, page: &str) -> String {
        let known = [
            ("{id}", &self.running),
            ("{running}", &self.running),
            ("{stopped}", &self.stopped),
            ("{failed}", &self.failed),
        ];
        let path =
            known.iter().fold(page.to_owned(), |path, (part, value)| path.replace(part, value));
        assert!(!path.contains('{'), "what does {page} stand for? Tell it in e2e/src/sights.rs");
        path
    }

    async fn first_to_see(&self, page: &str, path: String) -> Sight {
        for who in [Who::Nobody, Who::Owner, Who::Admin] {
            let answer = self.visitor(who).get(&path).header("accept", "text/html").send().await;
            let answer = answer.expect("the server answers");
            if answer.status() == StatusCode::OK && answer.url().path() == path {
                let name = page.trim_matches('/').replace(['{', '}'], "").replace('/', "-");
                let name = if name.is_empty() { "home".into() } else { name };
                return Sight { name, who, path, acts: &[], complains: &[] };
            }
        }
        panic!("nobody can see the page {page}");
    }
}

impl Sight {
    /// Looks at it.
    pub async fn show(&self, site: &Site, browser: &Browser) {
        browser.offline(false).await;
        browser.goto(&format!("{}{}", site.origin, self.path)).await;
        for act in self.acts {
            match *act {
                Act::Type(field, text) => browser.type_into(field, text).await,
                Act::Click(element) => browser.click(element).await,
                Act::See(element) => browser.wait_for(element).await,
                Act::Read(text) => browser.wait_for_text(text).await,
                Act::Offline => browser.offline(true).await,
                Act::SignedOut => browser.forget().await,
            }
        }
    }

    /// Whether this is where the page is left as no other sight would want it.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::SignedOut))
    }
}
