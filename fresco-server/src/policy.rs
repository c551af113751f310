//! What a tenant may be on this platform: images, limits, isolation.

use std::str::FromStr;

use fresco_core::{
    AppProfile, Error, ErrorKind, ImageRef, Isolation, Limits, OwnerId, Result, Subdomain,
    TenantSpec,
};

/// What tenants may be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantPolicy {
    /// The app that tenants run.
    pub app: AppProfile,
    /// The image of a new tenant.
    pub image: ImageRef,
    /// The images that owners may choose.
    pub images: Vec<ImagePattern>,
    /// What a new tenant gets of its own.
    pub isolation: Isolation,
    /// Memory, in MB.
    pub memory_mb: LimitRange<u32>,
    /// CPUs, in cores.
    pub cpus: LimitRange<f64>,
    /// Processes.
    pub pids: LimitRange<u32>,
}

/// The least, the usual and the highest value of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitRange<T> {
    /// The least.
    pub min: T,
    /// What a new tenant has.
    pub default: T,
    /// The highest.
    pub max: T,
}

/// An image, with or without a tag: without one, all of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePattern(String);

impl FromStr for ImagePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse::<ImageRef>()?;
        Ok(Self(text.to_owned()))
    }
}

impl ImagePattern {
    /// Every image of this one's repository.
    #[must_use]
    pub fn repository(image: &ImageRef) -> Self {
        Self(image.repository().to_owned())
    }

    /// Whether this image is meant.
    #[must_use]
    pub fn matches(&self, image: &ImageRef) -> bool {
        self.0 == image.as_str() || self.0 == image.repository()
    }
}

impl TenantPolicy {
    /// The memory kept for each tenant, in MB: never less than the app needs.
    #[must_use]
    pub fn reserved_mb(&self) -> u32 {
        self.memory_mb.min.max(self.app.min_memory_mb)
    }

    /// A new tenant, as it is when its owner chooses no more than a name.
    #[must_use]
    pub fn new_tenant(&self, owner: OwnerId, subdomain: Subdomain) -> TenantSpec {
        TenantSpec::new(owner, subdomain, self.app.clone(), self.image.clone())
            .with_limits(self.default_limits())
            .with_isolation(self.isolation)
    }

    /// The limits of a new tenant.
    #[must_use]
    pub fn default_limits(&self) -> Limits {
        Limits {
            memory_mb: self.memory_mb.default,
            cpus: self.cpus.default,
            pids: self.pids.default,
        }
    }

    /// Checks an image that an owner chose.
    ///
    /// # Errors
    /// `Invalid`, naming what may be chosen.
    pub fn check_image(&self, image: &ImageRef) -> Result<()> {
        if self.images.iter().any(|pattern| pattern.matches(image)) {
            return Ok(());
        }
        let names: Vec<_> = self.images.iter().map(|pattern| pattern.0.as_str()).collect();
        Err(Error::new(
            ErrorKind::Invalid,
            format!("this image may not be run here; there are: {}", names.join(", ")),
        ))
    }

    /// Checks limits that an owner chose.
    ///
    /// # Errors
    /// `Invalid`, naming the bounds, with the limit's name as its context `limit`.
    pub fn check_limits(&self, limits: &Limits) -> Result<()> {
        let within = |what: &str, unit: &str, good: bool, min: String, max: String| {
            let words = format!("choose {min} to {max} {unit}");
            let wrong = || Error::new(ErrorKind::Invalid, words).with("limit", what);
            good.then_some(()).ok_or_else(wrong)
        };
        let (memory, cpus, pids) = (self.memory_mb, self.cpus, self.pids);
        within(
            "memoryMb",
            "MB of memory",
            (memory.min..=memory.max).contains(&limits.memory_mb),
            memory.min.to_string(),
            memory.max.to_string(),
        )?;
        within(
            "cpus",
            "processor cores",
            (cpus.min..=cpus.max).contains(&limits.cpus),
            cpus.min.to_string(),
            cpus.max.to_string(),
        )?;
        within(
            "pids",
            "processes",
            (pids.min..=pids.max).contains(&limits.pids),
            pids.min.to_string(),
            pids.max.to_string(),
        )
    }
}
