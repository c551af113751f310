//! How a page is shown: size, colours, with scripts or without, with the platform in reach or not.

use std::path::Path;

use serde_json::json;

use super::Browser;

/// Width and height of a window on a desk, in CSS pixels.
pub const DESKTOP: (u32, u32) = (1280, 900);
/// Width and height of a small telephone, in CSS pixels.
pub const PHONE: (u32, u32) = (360, 740);

/// Which colours the visitor prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Its name in style sheets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    size: (u32, u32),
    theme: Theme,
    scripts: bool,
    offline: bool,
}

impl Default for View {
    fn default() -> Self {
        Self { size: DESKTOP, theme: Theme::Light, scripts: true, offline: false }
    }
}

impl Browser {
    /// Shows pages at this size, such as [`PHONE`]: one of less than 600 pixels is a telephone's.
    pub async fn resize(&self, size: (u32, u32)) {
        self.change(|view| view.size = size).await;
    }

    /// Lets the visitor prefer these colours.
    pub async fn theme(&self, theme: Theme) {
        self.change(|view| view.theme = theme).await;
    }

    /// Runs no script of the pages from here on, or runs them again; a page that is there is to be
    /// loaded again.
    pub async fn scripts(&self, run: bool) {
        self.change(|view| view.scripts = run).await;
    }

    /// Takes the network away from the pages, or gives it back.
    pub async fn offline(&self, offline: bool) {
        self.change(|view| view.offline = offline).await;
    }

    async fn change(&self, change: impl FnOnce(&mut View)) {
        let before = self.view();
        change(&mut self.view.lock().expect("no test has failed while changing it"));
        if self.view() != before {
            self.show_view().await;
        }
    }

    fn view(&self) -> View {
        *self.view.lock().expect("no test has failed while changing it")
    }

    /// Tells the present tab all of it.
    pub(super) async fn show_view(&self) {
        let View { size, theme, scripts, offline } = self.view();
        self.show_size(size).await;
        let prefers = json!([{"name": "prefers-color-scheme", "value": theme.name()}]);
        self.tell("Emulation.setEmulatedMedia", json!({"features": prefers})).await;
        self.tell("Emulation.setScriptExecutionDisabled", json!({"value": !scripts})).await;
        self.tell("Network.enable", json!({})).await;
        let network = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.tell("Network.emulateNetworkConditions", network).await;
    }

    async fn show_size(&self, (width, height): (u32, u32)) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.tell("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Writes a picture (PNG) of the whole page, also of what is not in sight.
    pub async fn screenshot(&self, file: &Path) {
        let (width, height) = self.view().size;
        let whole = "return Math.ceil(document.documentElement.scrollHeight);";
        let whole = self.driver.execute(whole, Vec::new()).await.expect("a page");
        let whole = whole.json().as_u64().and_then(|whole| u32::try_from(whole).ok());
        self.show_size((width, whole.unwrap_or(height).max(height))).await;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("a folder for the picture");
        }
        self.driver.screenshot(file).await.expect("a picture");
        self.show_size((width, height)).await;
    }
}
