//! Whether a part can be used now.

/// A part's own words on its health. That it answers at all means that it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it is, with its version.
    pub detail: String,
}

impl Health {
    /// A healthy part that says this of itself.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}
