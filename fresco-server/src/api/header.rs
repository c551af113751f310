//! Headers of a call.

use std::str::FromStr;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::http::problem::Problem;

/// A header that may be absent. One that comes twice or can't be read is refused: the framework's
/// own takes the first of two, and one that is no ASCII for none.
pub(crate) struct Once<T>(pub(crate) Option<T>);

impl<'a, T: Type + FromStr> ApiExtractor<'a> for Once<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = false;

    type ParamType = T;
    type ParamRawType = T::RawValueType;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    fn param_raw_type(&self) -> Option<&T::RawValueType> {
        self.0.as_ref().and_then(Type::as_raw_value)
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let wrong = |words| Problem::field(options.name, words);
        let mut values = request.headers().get_all(options.name).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => value,
            _ => return Err(wrong("This header came more than once.").into()),
        };
        let text = value.to_str().map_err(|_| wrong("This header is not visible ASCII."))?;
        let value =
            text.parse().map_err(|_| wrong("This header's value is none that it can have."))?;
        Ok(Self(Some(value)))
    }
}
