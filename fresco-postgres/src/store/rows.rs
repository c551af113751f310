//! Between rows and the words of the domain.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fresco_core::{Error, ErrorKind, Generation, Operation, Result, Tenant, TenantId, TenantSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::environment::{Keys, OF_OPERATION, OF_SPEC, Sealer};
use crate::errors::Mapped;

/// The columns that [`tenant`] reads.
pub(super) const TENANT: &str = "t.id, t.spec, t.state, t.generation, t.created_at";
/// The columns that [`operation`] reads, of operations alone.
pub(super) const OPERATION: &str = "data, tenant";
/// Which of [`TENANT`] is the generation.
pub(super) const GENERATION: usize = 3;

/// A tenant from a row that begins with [`TENANT`].
pub(super) fn tenant(row: &Row, keys: Keys<'_>) -> Result<Tenant> {
    let id = TenantId::from_uuid(row.try_get::<_, Uuid>(0).mapped()?);
    let mut spec = row.try_get(1).mapped()?;
    Sealer::new(keys, id).open(&mut spec, OF_SPEC)?;
    Ok(Tenant {
        id,
        spec: from_json(spec, "tenants.spec")?,
        state: from_json(row.try_get(2).mapped()?, "tenants.state")?,
        generation: Generation::new(row.try_get(GENERATION).mapped()?),
        created_at: row.try_get(4).mapped()?,
    })
}

/// An operation from two columns of a row, as [`OPERATION`] names them.
pub(super) fn operation(row: &Row, column: usize, keys: Keys<'_>) -> Result<Operation> {
    let mut data = row.try_get(column).mapped()?;
    let tenant = TenantId::from_uuid(row.try_get(column + 1).mapped()?);
    Sealer::new(keys, tenant).open(&mut data, OF_OPERATION)?;
    from_json(data, "operations.data")
}

/// A tenant's spec as a column of JSON.
pub(super) fn spec_to_json(spec: &TenantSpec, tenant: TenantId, keys: Keys<'_>) -> Result<Value> {
    let mut json = to_json(spec)?;
    Sealer::new(keys, tenant).seal(&mut json, OF_SPEC)?;
    Ok(json)
}

/// An operation as a column of JSON.
pub(super) fn operation_to_json(operation: &Operation, keys: Keys<'_>) -> Result<Value> {
    let mut json = to_json(operation)?;
    Sealer::new(keys, operation.tenant).seal(&mut json, OF_OPERATION)?;
    Ok(json)
}

/// What a column of JSON holds.
pub(super) fn from_json<T: DeserializeOwned>(value: Value, column: &'static str) -> Result<T> {
    serde_json::from_value(value).map_err(|e| {
        Error::new(
            ErrorKind::Internal,
            "the store holds what this version can't read; was it written by a newer one?",
        )
        .with("column", column)
        .with_source(without_values(&e.to_string()))
    })
}

/// What is wrong with a text of JSON, if it can be told without the text's own values: variables of
/// an app are among them. Names of fields and variants are ours, or no secrets.
fn without_values(error: &str) -> String {
    let names = ["missing field `", "unknown field `", "unknown variant `", "duplicate field `"];
    match names.iter().any(|name| error.starts_with(name)) {
        true => error.to_owned(),
        false => "a value in it is not of the expected form".to_owned(),
    }
}

/// What goes into a column of JSON and holds no variables of an owner. PostgreSQL keeps no NUL in it, but an app's log lines may
/// hold one: it becomes U+FFFD.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    let mut json = serde_json::to_value(value).map_err(|e| {
        Error::new(ErrorKind::Internal, "this can't be written to the store").with_source(e)
    })?;
    without_nul(&mut json);
    Ok(json)
}

fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(without_nul),
        Value::Object(map) => map.values_mut().for_each(without_nul),
        _ => {}
    }
}

/// The name under which serde writes a value, such as a status.
pub(super) fn name<T: Serialize>(value: T) -> Result<String> {
    match to_json(&value)? {
        Value::String(name) => Ok(name),
        _ => Err(Error::new(ErrorKind::Internal, "a status has no name")),
    }
}

/// Seconds for `make_interval`, within what PostgreSQL can add to a time.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64().min(3_000_000_000.0)
}

/// The store's clock.
pub(super) async fn now(client: &impl deadpool_postgres::GenericClient) -> Result<DateTime<Utc>> {
    client.query_one("SELECT clock_timestamp()", &[]).await.mapped()?.try_get(0).mapped()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cant_be_read_is_not_quoted() {
        #[derive(Debug, serde::Deserialize)]
        struct Spec {
            _count: u32,
        }
        let read = |json| from_json::<Spec>(json, "tenants.spec").unwrap_err().chain();
        let damaged = read(json!({"_count": "hunter2"}));
        assert!(damaged.contains("tenants.spec") && !damaged.contains("hunter2"), "{damaged}");
        let other = read(json!({}));
        assert!(other.contains("missing field `_count`"), "{other}");
    }

    #[test]
    fn a_nul_does_not_reach_the_database() {
        let json = to_json(&json!({"lines": ["a\0b"], "x": {"y": "\0"}})).unwrap();
        assert_eq!(json, json!({"lines": ["a\u{fffd}b"], "x": {"y": "\u{fffd}"}}));
    }

    #[test]
    fn long_times_stay_within_the_databases_range() {
        assert!(seconds(Duration::MAX) < 4e9);
        assert!((seconds(Duration::from_millis(1500)) - 1.5).abs() < 1e-9);
    }
}
