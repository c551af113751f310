//! Images: how people name them, which exact one it is, and how far it has been fetched.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::ImageId;

/// An image as a person names it: `repository[:tag]` or `repository@digest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

impl ImageRef {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        let name = self.0.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            // A colon before the last slash belongs to a registry's port.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > 512 || !text.bytes().all(plain) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "an image is named repository:tag or repository@digest",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which image to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Whatever this name stands for now; fetched when it is not there.
    Named(ImageRef),
    /// Exactly this image under this name; fetched by name only if it is not there.
    Pinned(ImageId, ImageRef),
}

/// How far an image has been fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullProgress {
    /// What is being done, in words.
    pub detail: String,
    /// Bytes fetched so far.
    pub bytes: u64,
    /// Bytes in all, as far as known.
    pub total_bytes: Option<u64>,
}

/// Takes progress reports. Cheap to clone; reporting never blocks.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(PullProgress) + Send + Sync>);

impl ProgressSink {
    /// A sink that calls this function, which must not block.
    pub fn new(report: impl Fn(PullProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// A sink that forgets.
    #[must_use]
    pub fn ignore() -> Self {
        Self::new(|_| {})
    }

    /// Reports.
    pub fn report(&self, progress: PullProgress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references() {
        for (text, repository) in [
            ("app", "app"),
            ("app:1", "app"),
            ("registry:5000/team/app:1.2", "registry:5000/team/app"),
            ("registry:5000/team/app", "registry:5000/team/app"),
            ("app@sha256:abc", "app"),
            ("app:1@sha256:abc", "app"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().repository(), repository);
        }
        for text in ["", "-x", "a b", "a\nb", "a`b"] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?}");
        }
    }
}
