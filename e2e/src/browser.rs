//! A headless Chromium with a profile of its own.

mod checks;
mod hands;
mod keys;
mod view;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

pub use self::checks::{Load, Violation};
use self::view::View;
pub use self::view::{DESKTOP, PHONE, Theme};
use crate::pauses::Pauses;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser. Dropping it ends it; call [`Browser::close`] where a test goes on.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    /// The driver, which takes the browser with it when it is told to close.
    process: Child,
    profile: PathBuf,
    /// What is told to every tab.
    view: Mutex<View>,
}

/// A tab of a browser.
#[derive(Clone, Debug)]
pub struct Tab(WindowHandle);

impl Browser {
    /// Starts one that takes this domain and all names below it for this machine, and knows no other.
    /// It shows light pages at the size [`DESKTOP`].
    pub async fn start(domain: &str) -> Self {
        let profile = std::env::temp_dir().join(format!("fresco-browser-{}", uuid::Uuid::new_v4()));
        let mut command = Command::new(steady());
        // At a port that is free: it says at which.
        command.args(["chromedriver", "--port=0"]).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process =
            command.spawn().expect("fresco-e2e-steady, which cargo builds with the tests");
        let port = port_of(&mut process).await;
        let mut wanted = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            // What is scrolled to is there at once.
            "--disable-smooth-scrolling",
            &format!("--user-data-dir={}", profile.display()),
            &format!(
                "--host-resolver-rules=MAP {domain} 127.0.0.1, MAP *.{domain} 127.0.0.1, \
                 MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
            ),
        ] {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a log of the pages");
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(address, wanted).await.expect("a browser");
        driver.set_script_timeout(PATIENCE).await.expect("a limit of time");
        let browser = Self { driver, process, profile, view: Mutex::new(View::default()) };
        browser.show_view().await;
        browser
    }

    /// The tab that all calls speak to.
    pub async fn tab(&self) -> Tab {
        Tab(self.driver.window().await.expect("a tab"))
    }

    /// Opens a further tab, to which all calls speak from now on.
    pub async fn open_tab(&self) -> Tab {
        let tab = Tab(self.driver.new_tab().await.expect("a new tab"));
        self.switch(&tab).await;
        self.show_view().await;
        tab
    }

    /// Closes the tab; another one is to be switched to.
    pub async fn close_tab(&self) {
        self.driver.close_window().await.expect("the tab closes");
    }

    /// Lets all calls speak to this tab.
    pub async fn switch(&self, tab: &Tab) {
        self.driver.switch_to_window(tab.0.clone()).await.expect("the tab is open");
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.driver.refresh().await.expect("the page is loaded again");
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        self.driver.current_url().await.expect("an address").to_string()
    }

    /// Goes to a page and waits until it is there.
    pub async fn goto(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Runs the body of an `async` function in the page, `args` being its arguments, and returns what it does;
    /// what it throws as `{"thrown": …}`.
    pub async fn run(&self, body: &str, args: Vec<Value>) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);
             (async () => {{ {body} }})().then(done, error => done({{thrown: String(error)}}));"
        );
        let answer = self.driver.execute_async(script, args).await;
        answer.unwrap_or_else(|error| panic!("{body}: {error}")).json().clone()
    }

    /// Runs this in every page of the tab from now on, before the page's own scripts.
    pub async fn before_pages(&self, script: &str) {
        self.add_script(script).await;
    }

    async fn add_script(&self, script: &str) -> Value {
        self.tell("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await
    }

    /// Loads the page again, and runs this before its own scripts, this once.
    pub async fn reload_with(&self, script: &str) {
        let added = self.add_script(script).await;
        self.reload().await;
        self.tell("Page.removeScriptToEvaluateOnNewDocument", added).await;
    }

    /// Starts what leads to another page, and waits until that page is there.
    pub async fn leave(&self, script: &str, args: Vec<Value>) {
        let mark = "window.stays = true;";
        self.driver.execute(format!("{mark}{script}"), args).await.expect(script);
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = Pauses::default();
        let gone = "return window.stays === undefined && document.readyState === 'complete';";
        loop {
            // In between there is no page to ask.
            let there = self.driver.execute(gone, Vec::new()).await;
            if there.is_ok_and(|there| there.json() == &Value::Bool(true)) {
                return;
            }
            assert!(Instant::now() < deadline, "no other page within {PATIENCE:?}: {script}");
            pauses.next().await;
        }
    }

    /// The text of the page, as it is seen.
    pub async fn text(&self) -> String {
        let text =
            self.driver.execute("return document.documentElement.innerText;", Vec::new()).await;
        text.expect("a page").json().as_str().unwrap_or_default().to_owned()
    }

    /// Lets pages write to the clipboard, and read it.
    pub async fn allow_clipboard(&self) {
        let permissions = json!(["clipboardReadWrite", "clipboardSanitizedWrite"]);
        self.tell("Browser.grantPermissions", json!({"permissions": permissions})).await;
    }

    /// Forgets who is signed in.
    pub async fn forget_session(&self) {
        self.tell("Network.clearBrowserCookies", json!({})).await;
    }

    /// Forgets what the pages of this origin have put away.
    pub async fn forget_storage(&self, origin: &str) {
        let storage = json!({"origin": origin, "storageTypes": "local_storage"});
        self.tell("Storage.clearDataForOrigin", storage).await;
    }

    /// Forgets the files of pages it has seen, so that the next page is as slow as a first one.
    pub async fn forget_files(&self) {
        self.tell("Network.clearBrowserCache", json!({})).await;
    }

    /// Speaks to the tab by the browser's own protocol.
    async fn tell(&self, command: &str, params: Value) -> Value {
        let answer = self.driver.cdp().send_raw(command, params).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Ends the browser.
    pub async fn close(mut self) {
        self.driver.clone().quit().await.expect("the browser closes");
        self.process.kill().await.expect("the driver ends");
        std::fs::remove_dir_all(&self.profile).expect("its profile can be removed");
    }
}

/// Of a test that fails: the driver is killed, and would leave the browser behind.
impl Drop for Browser {
    fn drop(&mut self) {
        let Some(driver) = self.process.id() else { return };
        let mut end = std::process::Command::new("pkill");
        let _ = end.args(["-KILL", "--parent", &driver.to_string()]).status();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// The program that runs another which shall not see the network change, beside the tests' own.
fn steady() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let folder = own.parent().expect("its folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("above") } else { folder };
    folder.join("fresco-e2e-steady")
}

/// Where the driver listens, once it does.
async fn port_of(driver: &mut Child) -> u16 {
    let said = driver.stdout.as_mut().expect("what it says");
    let mut lines = BufReader::new(said).lines();
    while let Some(line) = lines.next_line().await.expect("chromedriver says something") {
        let port = line.trim_end_matches('.').rsplit_once("successfully on port ");
        if let Some(port) = port.and_then(|(_, port)| port.parse().ok()) {
            return port;
        }
    }
    panic!("chromedriver ended; is it there? apt-get install chromium-driver");
}
