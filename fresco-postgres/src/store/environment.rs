//! The values of owners' variables, as they stand in rows: sealed, each an object
//! `{"key": name of the key, "sealed": text}` in the place of a text.
//!
//! A text is a value that was written before values were sealed. It is read as it is, and sealed by
//! the next write.

use fresco_core::{Error, ErrorKind, Result, TenantId};
use secrecy::zeroize::Zeroize;
use serde_json::{Value, json};

use super::keys::EnvironmentKeys;

/// Where variables are in a tenant's spec.
pub(super) const OF_SPEC: &[&str] = &["/environment"];
/// Where they are in an operation.
pub(super) const OF_OPERATION: &[&str] =
    &["/target/spec/environment", "/previous/spec/environment"];

/// The keys, if there are any.
pub(super) type Keys<'a> = Option<&'a EnvironmentKeys>;

/// Whose values, and under which keys.
#[derive(Clone, Copy)]
pub(super) struct Sealer<'a> {
    keys: Keys<'a>,
    tenant: TenantId,
}

impl<'a> Sealer<'a> {
    pub(super) const fn new(keys: Keys<'a>, tenant: TenantId) -> Self {
        Self { keys, tenant }
    }

    /// Seals all values at these places.
    pub(super) fn seal(self, row: &mut Value, places: &[&str]) -> Result<()> {
        each(row, places, |name, value| {
            let Value::String(text) = value else { return Ok(()) };
            let keys = self.keys.ok_or_else(|| self.without_keys(name))?;
            let sealed = keys.seal(text, &self.beside(name))?;
            text.zeroize();
            *value = json!({ "key": keys.current(), "sealed": sealed });
            Ok(())
        })
    }

    /// Opens all values at these places.
    pub(super) fn open(self, row: &mut Value, places: &[&str]) -> Result<()> {
        each(row, places, |name, value| {
            if value.is_string() {
                return Ok(());
            }
            let (Some(key), Some(sealed)) = (value["key"].as_str(), value["sealed"].as_str())
            else {
                let words = "the store holds a value that this version can't read; was it written by a newer one?";
                return Err(self.about(Error::new(ErrorKind::Internal, words), name));
            };
            let keys = self.keys.ok_or_else(|| self.missing(name, key))?;
            let opened = keys.open(key, sealed, &self.beside(name));
            let opened = opened.map_err(|error| self.about(error, name))?;
            *value = Value::String(opened.ok_or_else(|| self.missing(name, key))?);
            Ok(())
        })
    }

    /// What a value is bound to. An id has one length and a name holds no NUL, so that no two
    /// places have the same.
    fn beside(self, name: &str) -> Vec<u8> {
        format!("fresco environment v1\0{}\0{name}", self.tenant).into_bytes()
    }

    fn about(self, error: Error, name: &str) -> Error {
        error.with("tenant", self.tenant).with("variable", name)
    }

    fn without_keys(self, name: &str) -> Error {
        let words = "this store was given no keys, so it keeps no variables of owners; give it some with PostgresStoreConfig::keys";
        self.about(Error::new(ErrorKind::Unsupported, words), name)
    }

    fn missing(self, name: &str, key: &str) -> Error {
        missing(key).with("tenant", self.tenant).with("variable", name)
    }
}

/// What is said of a value whose key is not here.
pub(super) fn missing(key: &str) -> Error {
    let words = "a variable is sealed under a key that is not here; give the secret that it was written under as an old one (fresco-server: AUTH_SECRET_OLD)";
    Error::new(ErrorKind::Internal, words).with("key", key)
}

/// Whether a value is sealed under this key.
pub(super) fn is_sealed(value: &Value, key: &str) -> bool {
    value.get("key").is_some_and(|found| found == key)
}

/// Does something with all values at these places. A row without such a place has none.
pub(super) fn each(
    row: &mut Value,
    places: &[&str],
    mut work: impl FnMut(&str, &mut Value) -> Result<()>,
) -> Result<()> {
    for place in places {
        if let Some(Value::Object(variables)) = row.pointer_mut(place) {
            for (name, value) in variables {
                work(name, value)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(letter: char) -> EnvironmentKeys {
        EnvironmentKeys::new(&letter.to_string().repeat(32).into()).unwrap()
    }

    fn spec() -> Value {
        json!({ "owner": "hunter1", "environment": { "A": "hunter2", "B": "" } })
    }

    #[test]
    fn values_are_sealed_where_they_stand_and_nothing_else_is() {
        let (keys, tenant) = (keys('k'), TenantId::new());
        let sealer = Sealer::new(Some(&keys), tenant);
        let mut operation = json!({ "target": { "spec": spec() }, "previous": { "spec": spec() } });
        let plain = operation.clone();
        sealer.seal(&mut operation, OF_OPERATION).unwrap();
        let text = operation.to_string();
        assert!(text.contains("hunter1") && !text.contains("hunter2"), "{text}");
        // What is sealed is not sealed again.
        let sealed = operation.clone();
        sealer.seal(&mut operation, OF_OPERATION).unwrap();
        assert_eq!(operation, sealed);
        sealer.open(&mut operation, OF_OPERATION).unwrap();
        assert_eq!(operation, plain);
        let mut without = json!({ "target": {}, "previous": null });
        sealer.seal(&mut without, OF_OPERATION).unwrap();
    }

    #[test]
    fn values_of_another_tenant_or_name_are_not_opened() {
        let (keys, tenant) = (keys('k'), TenantId::new());
        let mut row = spec();
        Sealer::new(Some(&keys), tenant).seal(&mut row, OF_SPEC).unwrap();
        let moved = Sealer::new(Some(&keys), TenantId::new()).open(&mut row.clone(), OF_SPEC);
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::Internal);
        row["environment"]["B"] = row["environment"]["A"].take();
        row["environment"]["A"] = "".into();
        let error = Sealer::new(Some(&keys), tenant).open(&mut row, OF_SPEC).unwrap_err();
        assert_eq!(error.context("variable"), Some("B"));
    }

    #[test]
    fn a_missing_key_is_told_with_tenant_variable_and_setting() {
        let (old, new, tenant) = (keys('o'), keys('n'), TenantId::new());
        let mut row = spec();
        Sealer::new(Some(&old), tenant).seal(&mut row, OF_SPEC).unwrap();
        for keys in [Some(&new), None] {
            let error = Sealer::new(keys, tenant).open(&mut row.clone(), OF_SPEC).unwrap_err();
            let words = error.chain();
            for part in [&*tenant.to_string(), "variable: A", "AUTH_SECRET_OLD", old.current()] {
                assert!(words.contains(part), "{part} in {words}");
            }
        }
    }

    #[test]
    fn plain_values_are_read_and_none_is_written_without_keys() {
        let sealer = Sealer::new(None, TenantId::new());
        let mut row = spec();
        sealer.open(&mut row, OF_SPEC).unwrap();
        assert_eq!(row, spec());
        let error = sealer.seal(&mut row, OF_SPEC).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        sealer.seal(&mut json!({ "environment": {} }), OF_SPEC).unwrap();
    }
}
