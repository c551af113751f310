//! What tenants may be, and how much they may take together.

use std::fs;
use std::path::Path;

use fresco_core::{AppProfile, ImageRef, Isolation, Limits};

use super::reader::Reader;
use crate::policy::{ImagePattern, LimitRange, TenantPolicy};
use crate::room::Room;

impl Reader<'_> {
    pub(super) fn tenants(&mut self) -> Option<TenantPolicy> {
        let app = self.app();
        let image = self.parse::<ImageRef>("FRESCO_IMAGE", "the name of an image");
        let images = self.images(image.as_ref());
        let isolation = self.one_of(
            "TENANT_ISOLATION",
            &[
                ("auto", None),
                ("schema", Some(Isolation::Schema)),
                ("database", Some(Isolation::Database)),
            ],
        );
        let megabytes = "a whole number of MB";
        let memory = self.range::<u32>(["MIN_MEMORY", "DEFAULT_MEMORY", "MAX_MEMORY"], megabytes);
        let cores = "a number of cores such as 0.5";
        let cpus = self.range::<f64>(["MIN_CPUS", "DEFAULT_CPUS", "MAX_CPUS"], cores);
        let pids = self.parse::<u32>("MAX_PIDS", "a whole number");
        let (app, memory, cpus, pids) = (app?, memory?, cpus?, pids?);
        let own = Limits::for_app(&app);
        self.check(
            "MAX_PIDS",
            pids >= own.pids,
            &format!("must be at least {}, which this app needs", own.pids),
        );
        self.check(
            "DEFAULT_MEMORY",
            memory.default >= app.min_memory_mb,
            &format!("must be at least {} MB, which this app needs", app.min_memory_mb),
        );
        self.check("MIN_CPUS", cpus.min >= 0.01, "must be at least 0.01");
        self.check("MAX_CPUS", cpus.max <= 1024.0, "must be at most 1024");
        Some(TenantPolicy {
            isolation: isolation?.unwrap_or(app.isolation),
            app,
            image: image?,
            images: images?,
            memory_mb: memory,
            cpus,
            pids: LimitRange { min: own.pids, default: own.pids, max: pids },
        })
    }

    fn app(&mut self) -> Option<AppProfile> {
        let text = self.text("FRESCO_APP")?;
        match text.as_str() {
            "fresco" => return Some(AppProfile::fresco()),
            "generic" => return Some(AppProfile::generic()),
            _ => {}
        }
        match read_profile(Path::new(&text)) {
            Ok(profile) => Some(profile),
            Err(problem) => {
                let all = format!("must be fresco, generic or the path of a profile: {problem}");
                self.wrong("FRESCO_APP", &all);
                None
            }
        }
    }

    fn images(&mut self, image: Option<&ImageRef>) -> Option<Vec<ImagePattern>> {
        let Some(text) = self.text("TENANT_IMAGES") else {
            return image.map(|image| vec![ImagePattern::repository(image)]);
        };
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let patterns: Result<Vec<_>, _> = names.map(str::parse::<ImagePattern>).collect();
        let patterns = patterns.ok().filter(|patterns| !patterns.is_empty());
        self.check(
            "TENANT_IMAGES",
            patterns.is_some(),
            &format!("must be names of images, separated by commas, but is `{text}`"),
        );
        patterns
    }

    pub(super) fn room(&mut self) -> Option<Room> {
        let megabytes = "a whole number of MB";
        let memory_mb = self.optional("TENANT_MEMORY", megabytes);
        let connections = self.optional("TENANT_CONNECTIONS", "a whole number");
        let overcommit = self.parse::<f64>("MEMORY_OVERCOMMIT", "a number such as 1.5");
        let bounded = overcommit.is_none_or(|factor| (1.0..=100.0).contains(&factor));
        self.check("MEMORY_OVERCOMMIT", bounded, "must be 1 to 100");
        let min_free_disk_mb = self.parse("MIN_FREE_DISK", megabytes)?;
        Some(Room {
            memory_mb: memory_mb?,
            overcommit: overcommit?,
            connections: connections?,
            min_free_disk_mb,
        })
    }
}

fn read_profile(path: &Path) -> Result<AppProfile, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    let profile: AppProfile =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    profile.validate().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(profile)
}
