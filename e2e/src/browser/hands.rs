//! What a visitor does with a page, and sees of it. All of it waits until the page lets it be done;
//! what does not come about within a minute fails the test, with the page's text.

use thirtyfour::error::WebDriverResult;
use thirtyfour::prelude::*;
use tokio::time::Instant;

use super::{Browser, PATIENCE};
use crate::pauses::Pauses;

impl Browser {
    /// Waits until the first element of this selector (CSS) is seen.
    pub async fn wait_for(&self, selector: &str) {
        self.until(&format!("{selector} is not seen"), async || {
            Ok(self.element(selector).await?.is_displayed().await?.then_some(()))
        })
        .await;
    }

    /// Waits until no element of this selector is seen.
    pub async fn wait_gone(&self, selector: &str) {
        self.until(&format!("{selector} is still seen"), async || {
            for element in self.driver.find_all(By::Css(selector)).await? {
                if element.is_displayed().await? {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await;
    }

    /// Waits until this stands on the page, as it is seen.
    pub async fn wait_for_text(&self, text: &str) {
        self.wait_for_text_in("html", text).await;
    }

    /// Waits until this stands in the first element of this selector.
    pub async fn wait_for_text_in(&self, selector: &str, text: &str) {
        self.until(&format!("no “{text}” in {selector}"), async || {
            let script = "return document.querySelector(arguments[0])?.innerText ?? '';";
            let found = self.driver.execute(script, vec![selector.into()]).await?;
            Ok(found.json().as_str().is_some_and(|found| found.contains(text)).then_some(()))
        })
        .await;
    }

    /// Waits until the page's address has this in it.
    pub async fn wait_for_url(&self, part: &str) {
        self.until(&format!("the address has no {part}"), async || {
            Ok(self.driver.current_url().await?.as_str().contains(part).then_some(()))
        })
        .await;
    }

    /// Clicks the first element of this selector as soon as it is seen and nothing covers it. Where
    /// that leads to another page, that is waited for.
    pub async fn click(&self, selector: &str) {
        self.until(&format!("{selector} can't be clicked"), async || {
            self.element(selector).await?.click().await.map(Some)
        })
        .await;
    }

    /// Types this into a field, in place of what is in it.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.until(&format!("nothing can be typed into {selector}"), async || {
            let field = self.element(selector).await?;
            field.clear().await?;
            field.send_keys(text).await.map(Some)
        })
        .await;
    }

    /// The value of a field.
    pub async fn value(&self, selector: &str) -> String {
        self.until(&format!("there is no {selector}"), async || {
            self.element(selector).await?.value().await.map(|value| Some(value.unwrap_or_default()))
        })
        .await
    }

    /// How many elements of this selector there are.
    pub async fn count(&self, selector: &str) -> usize {
        self.driver.find_all(By::Css(selector)).await.expect("a page").len()
    }

    /// Signs in through the form, at the platform's origin, and waits for the page it leads to.
    pub async fn sign_in(&self, platform: &str, email: &str, password: &str) {
        self.goto(&format!("{platform}/login")).await;
        self.type_into("main input[name=email]", email).await;
        self.type_into("main input[name=password]", password).await;
        self.click("main form button:not([type=button])").await;
        self.until("signing in leads nowhere", async || {
            let left = !self.driver.current_url().await?.path().starts_with("/login");
            Ok(left.then_some(()))
        })
        .await;
    }

    async fn element(&self, selector: &str) -> WebDriverResult<WebElement> {
        self.driver.find(By::Css(selector)).await
    }

    /// Tries again as long as there is nothing, or the page changes under the hand.
    async fn until<T>(
        &self,
        hindered: &str,
        attempt: impl AsyncFn() -> WebDriverResult<Option<T>>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = Pauses::default();
        loop {
            let last = match attempt().await {
                Ok(Some(found)) => return found,
                Ok(None) => String::new(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                let (url, text) = (self.url().await, self.text().await);
                panic!("{hindered} within {PATIENCE:?} {last}\nThe page {url}:\n{text}");
            }
            pauses.next().await;
        }
    }
}
