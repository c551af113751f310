//! Reads settings one by one and collects what is wrong.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::policy::LimitRange;
use crate::settings::{Values, find};

/// Reads settings one by one and collects what is wrong. A setting that is wrong gives `None`.
pub(super) struct Reader<'a> {
    values: &'a Values,
    pub(super) problems: Vec<String>,
    pub(super) read: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(values: &'a Values) -> Self {
        Self { values, problems: Vec::new(), read: BTreeSet::new() }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.read.insert(name);
        // A name that is no setting is found by the test that reads them all.
        let setting = find(name)?;
        if let Some(name) = self.values.blank(setting) {
            self.wrong(name, "is empty: give it a value, or remove it");
            return None;
        }
        self.values.get(setting).map(str::to_owned)
    }

    /// Whether it was set, to whatever.
    pub(super) fn is_set(&self, name: &str) -> bool {
        find(name).is_some_and(|setting| self.values.set(setting).is_some())
    }

    pub(super) fn wrong(&mut self, name: &str, what: &str) {
        let problem = format!("{name} {what}");
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn check(&mut self, name: &str, good: bool, what: &str) {
        if !good {
            self.wrong(name, what);
        }
    }

    pub(super) fn parse<T: FromStr>(&mut self, name: &'static str, kind: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        self.check(name, parsed.is_some(), &format!("must be {kind}, but is `{text}`"));
        parsed
    }

    /// A setting that may be left out; the outer `None` stands for a wrong one.
    pub(super) fn optional<T: FromStr>(
        &mut self,
        name: &'static str,
        kind: &str,
    ) -> Option<Option<T>> {
        match self.text(name) {
            Some(_) => self.parse(name, kind).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn port(&mut self, name: &'static str) -> Option<u16> {
        self.parse::<NonZeroU16>(name, "a port, 1 to 65535").map(NonZeroU16::get)
    }

    /// Values separated by commas; without the setting, `Some(None)`.
    pub(super) fn list<T: FromStr>(
        &mut self,
        name: &'static str,
        kind: &str,
    ) -> Option<Option<Vec<T>>> {
        let Some(text) = self.text(name) else { return Some(None) };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parsed: Option<Vec<T>> = parts.map(|part| part.parse().ok()).collect();
        self.check(
            name,
            parsed.is_some(),
            &format!("must be {kind}, separated by commas, but is `{text}`"),
        );
        parsed.map(Some)
    }

    pub(super) fn within(
        &mut self,
        name: &'static str,
        kind: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let number = self.parse(name, kind)?;
        let words = format!("must be {} to {}, but is `{number}`", range.start(), range.end());
        self.check(name, range.contains(&number), &words);
        range.contains(&number).then_some(number)
    }

    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        let all = format!("must be {}, but is `{text}`", names.join(" or "));
        self.check(name, found.is_some(), &all);
        found
    }

    pub(super) fn range<T: FromStr + PartialOrd + Copy>(
        &mut self,
        [min, default, max]: [&'static str; 3],
        kind: &str,
    ) -> Option<LimitRange<T>> {
        let values = [min, default, max].map(|name| self.parse::<T>(name, kind));
        let [Some(low), Some(usual), Some(high)] = values else { return None };
        self.check(default, usual >= low, &format!("must be at least {min}"));
        self.check(max, high >= usual, &format!("must be at least {default}"));
        Some(LimitRange { min: low, default: usual, max: high })
    }
}
