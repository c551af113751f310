//! Who may sign up, how often somebody may ask, and how much one person may have.

use std::ops::RangeInclusive;
use std::time::Duration;

use fresco_core::Quota;

use super::reader::Reader;
use crate::accounts::{SignupPolicy, TrialTerms};
use crate::rates::{Rate, Rates};

const DAY: u64 = 24 * 60 * 60;

/// What holds without a setting: generous where somebody tries things out, and careful where the
/// whole world may come.
struct Usual<T> {
    development: T,
    production: T,
}

impl<T> Usual<T> {
    fn of(self, production: bool) -> T {
        if production { self.production } else { self.development }
    }
}

const fn usual<T>(development: T, production: T) -> Usual<T> {
    Usual { development, production }
}

impl Reader<'_> {
    pub(super) fn rates(&mut self, production: bool) -> Option<Rates> {
        let mut rate = |name, words: Usual<&str>| match self.text(name) {
            Some(_) => self.parse::<Rate>(name, "a rate such as 30/minute, 600/hour or 5/second"),
            None => words.of(production).parse().ok(),
        };
        let sign_in = rate("RATE_SIGN_IN", usual("6000/minute", "30/minute"));
        let attempts = rate("RATE_ATTEMPTS", usual("6000/minute", "30/hour"));
        let begin = rate("RATE_BEGIN", usual("6000/minute", "100/hour"));
        let sign_up = rate("RATE_SIGN_UP", usual("6000/minute", "60/minute"));
        let mail = rate("RATE_MAIL", usual("600/minute", "20/hour"));
        let changes = rate("RATE_CHANGES", usual("6000/minute", "120/minute"));
        let reads = rate("RATE_READS", usual("60000/minute", "1200/minute"));
        let streams = rate("RATE_STREAMS", usual("6000/minute", "120/minute"));
        Some(Rates {
            sign_in: sign_in?,
            attempts: attempts?,
            begin: begin?,
            sign_up: sign_up?,
            mail: mail?,
            changes: changes?,
            reads: reads?,
            streams: streams?,
        })
    }

    pub(super) fn quota(&mut self, production: bool) -> Option<Quota> {
        let number = "a whole number";
        let tenants =
            self.usual("TENANTS_PER_USER", number, 1..=100_000, usual(1000, 5).of(production));
        let creations =
            self.usual("DEPLOYS_PER_HOUR", number, 1..=100_000, usual(1000, 10).of(production));
        let days = self.usual(
            "SUBDOMAIN_COOLDOWN",
            "a whole number of days",
            0..=3650,
            usual(0, 90).of(production),
        );
        let mut quota = Quota::unlimited();
        (quota.tenants, quota.creations_per_hour) = (Some(tenants?), Some(creations?));
        quota.cooldown = Duration::from_secs(days? * DAY);
        Some(quota)
    }

    pub(super) fn trial(&mut self, production: bool) -> Option<TrialTerms> {
        let number = "a whole number";
        let tenants =
            self.usual("UNVERIFIED_TENANTS", number, 0..=100_000, usual(100, 10).of(production));
        let hours = self.within("UNVERIFIED_HOURS", "a whole number of hours", 1..=8760);
        let tenants = u32::try_from(tenants?).ok()?;
        Some(TrialTerms { tenants, life: Duration::from_secs(hours? * 60 * 60) })
    }

    pub(super) fn signup(&mut self, production: bool) -> Option<SignupPolicy> {
        let domains = self.text("SIGNUP_EMAIL_DOMAINS").unwrap_or_default();
        let domains = domains.split(',').map(|name| name.trim().to_lowercase());
        let domains: Vec<_> = domains.filter(|name| !name.is_empty()).collect();
        let good = domains
            .iter()
            .all(|name| format!("a@{name}").parse::<crate::accounts::Email>().is_ok());
        self.check(
            "SIGNUP_EMAIL_DOMAINS",
            good,
            "must be domains such as example.org, separated by commas",
        );
        let Some(policy) = self.text("SIGNUP") else {
            self.check(
                "SIGNUP",
                !production,
                "must be set in production, to who may sign up: open (everybody), domains (addresses of SIGNUP_EMAIL_DOMAINS), invite (who was invited: fresco-server invite <email>) or closed (nobody)",
            );
            return Some(SignupPolicy::Open);
        };
        let known = ["open", "domains", "invite", "closed"];
        self.check(
            "SIGNUP",
            known.contains(&policy.as_str()),
            &format!("must be open, domains, invite or closed, but is `{policy}`"),
        );
        self.check(
            "SIGNUP_EMAIL_DOMAINS",
            policy != "domains" || !domains.is_empty(),
            "must name the domains whose addresses may sign up, since SIGNUP is domains",
        );
        Some(match policy.as_str() {
            "domains" => SignupPolicy::Domains(domains),
            "invite" => SignupPolicy::Invite,
            "closed" => SignupPolicy::Closed,
            _ => SignupPolicy::Open,
        })
    }

    /// How many connections, in all and from one network.
    pub(super) fn connections(&mut self) -> Option<(usize, usize)> {
        let number = "a whole number";
        let all = self.within("CONNECTIONS", number, 16..=100_000);
        let each = self.within("CONNECTIONS_PER_ADDRESS", number, 4..=100_000);
        Some((usize::try_from(all?).ok()?, usize::try_from(each?).ok()?))
    }

    /// How many bytes the head and the body of a request may have.
    pub(super) fn request_sizes(&mut self) -> Option<(usize, usize)> {
        let number = "a whole number of KiB";
        let head = self.within("HEADER_LIMIT", number, 8..=1024);
        let body = self.within("BODY_LIMIT", number, 16..=1024);
        Some((usize::try_from(head?).ok()? << 10, usize::try_from(body?).ok()? << 10))
    }

    /// A setting whose default depends on where the server runs.
    fn usual(
        &mut self,
        name: &'static str,
        kind: &str,
        range: RangeInclusive<u64>,
        usual: u64,
    ) -> Option<u64> {
        match self.text(name) {
            Some(_) => self.within(name, kind, range),
            None => Some(usual),
        }
    }
}
