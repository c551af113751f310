//! The JSON body of a call, and what is wrong with one in words that name the field.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::http::problem::Problem;

/// Characters of an unknown field's name that are repeated.
const LONGEST_NAME: usize = 128;

/// A body. The framework's own reader tells neither which field is wrong nor what it may be, so
/// what it refuses is compared with the type's description.
#[derive(Clone, Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = <Json<T> as ApiExtractor<'a>>::TYPES;

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Json<T> as ApiExtractor<'a>>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        <Json<T> as ApiExtractor<'a>>::request_meta()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // The guard has looked at the type that it is said to have.
        let bytes = <Vec<u8> as FromRequest>::from_request(request, body).await?;
        let read = || serde_json::from_slice::<Value>(&bytes);
        let value = read().map_err(|error| unreadable(&format!("it is no JSON: {error}"), ""))?;
        // The framework takes a null for nothing, which no field is described to be.
        if has_null(&value)
            && let Some(problem) = fault::<T>(&value)
        {
            return Err(problem.into());
        }
        let told = T::parse_from_json(Some(value));
        Ok(Self(told.map_err(|_| wrong::<T>(&read().unwrap_or_default()))?))
    }
}

/// 400, with the field that is meant, if it is one.
fn unreadable(words: &str, field: &str) -> Problem {
    let words = format!("The body can't be read: {words}.");
    let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_request", words);
    if field.is_empty() { problem } else { problem.of_field(field) }
}

/// What is wrong with a value that a `T` can't be read from.
fn wrong<T: Type>(value: &Value) -> Problem {
    fault::<T>(value).unwrap_or_else(|| {
        unreadable("it is not what this call takes; /docs shows what it does", "")
    })
}

/// Where a value is not as a `T` is described. No value is repeated: it may be a secret that went into
/// the wrong place.
fn fault<T: Type>(value: &Value) -> Option<Problem> {
    let mut registry = Registry::new();
    T::register(&mut registry);
    let (field, what) =
        (Search { schemas: &registry.schemas }).fault(&T::schema_ref(), value, "")?;
    Some(match &*field {
        "" => unreadable(&format!("it {what}"), ""),
        _ => unreadable(&format!("{field} {what}"), &field),
    })
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

/// The place of a fault, as in `limits.cpus`, and what is wrong there.
type Fault = (String, String);

struct Search<'a> {
    schemas: &'a BTreeMap<String, MetaSchema>,
}

impl Search<'_> {
    /// The first fault of this value.
    fn fault(&self, of: &MetaSchemaRef, value: &Value, place: &str) -> Option<Fault> {
        let schema = match of {
            MetaSchemaRef::Inline(schema) => schema,
            MetaSchemaRef::Reference(name) => self.schemas.get(name)?,
        };
        // A field's own description stands beside what it refers to.
        if let Some(of) = schema.all_of.first() {
            return self.fault(of, value, place);
        }
        if let ("object", Value::Object(fields)) = (schema.ty, value) {
            return self.fault_within(schema, fields, place);
        }
        if let ("array", Value::Array(values), Some(of)) = (schema.ty, value, &schema.items) {
            let mut values = values.iter().enumerate();
            return values.find_map(|(at, value)| self.fault(of, value, &format!("{place}[{at}]")));
        }
        let expected = expected(schema, value)?;
        Some((place.to_owned(), format!("must be {expected}")))
    }

    fn fault_within(
        &self,
        schema: &MetaSchema,
        fields: &Map<String, Value>,
        place: &str,
    ) -> Option<Fault> {
        let inner = |name: &str| {
            let name: String = name.chars().take(LONGEST_NAME).collect();
            if place.is_empty() { name } else { format!("{place}.{name}") }
        };
        for (name, of) in &schema.properties {
            let fault = match fields.get(*name) {
                None | Some(Value::Null) if schema.required.contains(name) => {
                    Some((inner(name), "is missing".to_owned()))
                }
                None => None,
                Some(value) => self.fault(of, value, &inner(name)),
            };
            if fault.is_some() {
                return fault;
            }
        }
        let known = |name: &str| schema.properties.iter().any(|(known, _)| *known == name);
        fields.iter().filter(|(name, _)| !known(name)).find_map(|(name, value)| {
            match &schema.additional_properties {
                Some(of) => self.fault(of, value, &inner(name)),
                None => Some((inner(name), "is no field of this call".to_owned())),
            }
        })
    }
}

/// What a value should be that is not it; of objects only that they are.
fn expected(schema: &MetaSchema, value: &Value) -> Option<String> {
    let (good, kind) = match (schema.ty, schema.format) {
        _ if !schema.enum_items.is_empty() => {
            let names: Vec<_> = schema.enum_items.iter().filter_map(Value::as_str).collect();
            let words = format!("one of {}", names.join(", "));
            return (!schema.enum_items.contains(value)).then_some(words);
        }
        ("string", Some("uuid")) => {
            (value.as_str().is_some_and(|text| Uuid::try_parse(text).is_ok()), "a UUID")
        }
        ("string", Some("date-time")) => {
            let time = value.as_str().map(str::parse::<DateTime<Utc>>);
            (matches!(time, Some(Ok(_))), "a time such as 2030-01-31T12:00:00Z")
        }
        ("string", _) => (value.is_string(), "a string"),
        ("integer", Some("uint8")) => (whole(value, u8::MAX.into()), "a whole number up to 255"),
        ("integer", Some("uint32")) => {
            (whole(value, u32::MAX.into()), "a whole number up to 4294967295")
        }
        ("integer", _) => (value.is_i64(), "a whole number"),
        ("number", _) => (value.is_number(), "a number"),
        ("boolean", _) => (value.is_boolean(), "true or false"),
        ("array", _) => (value.is_array(), "a list"),
        ("object", _) => (value.is_object(), "an object"),
        _ => return None,
    };
    (!good).then(|| kind.to_owned())
}

fn whole(value: &Value, most: u64) -> bool {
    value.as_u64().is_some_and(|number| number <= most)
}
