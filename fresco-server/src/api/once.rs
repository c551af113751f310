//! What a call takes beside its body.

use std::marker::PhantomData;
use std::str::FromStr;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::http::problem::Problem;

/// A header, or a part of the query, that may be absent. One that comes twice or can't be read is
/// refused by its name: the framework's own takes the first of two, and a header that is no ASCII for
/// none.
pub(crate) struct Once<T, P = Header>(pub(crate) Option<T>, PhantomData<P>);

/// Where something is sent.
pub(crate) trait Place: Send + Sync {
    const IN: MetaParamIn;
    /// All that came by this name; `None` when that can't be read.
    fn sent(request: &Request, name: &str) -> Option<Vec<String>>;
}

/// Among the headers.
pub(crate) struct Header;

impl Place for Header {
    const IN: MetaParamIn = MetaParamIn::Header;

    fn sent(request: &Request, name: &str) -> Option<Vec<String>> {
        let values = request.headers().get_all(name).iter();
        values.map(|value| value.to_str().ok().map(str::to_owned)).collect()
    }
}

/// In the address, after the `?`.
pub(crate) struct InQuery;

impl Place for InQuery {
    const IN: MetaParamIn = MetaParamIn::Query;

    fn sent(request: &Request, name: &str) -> Option<Vec<String>> {
        let sent = request.params::<Vec<(String, String)>>().ok()?;
        Some(sent.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect())
    }
}

/// Where a stream goes on: by which of the two it was said, and what. The header goes first: a browser
/// that opens its stream again by itself sends it, with the address of the first time.
pub(crate) fn resumed<T>(last: Once<T>, after: Once<T, InQuery>) -> Option<(&'static str, T)> {
    last.0.map(|id| ("Last-Event-ID", id)).or(after.0.map(|id| ("after", id)))
}

impl<'a, T: Type + FromStr, P: Place> ApiExtractor<'a> for Once<T, P> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = false;

    type ParamType = T;
    type ParamRawType = T::RawValueType;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(P::IN)
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
        let sent = P::sent(request, options.name);
        let sent = sent.ok_or_else(|| wrong("Send this in visible ASCII."))?;
        let value = match sent.as_slice() {
            [] => return Ok(Self(None, PhantomData)),
            [value] => value,
            _ => return Err(wrong("This came more than once.").into()),
        };
        let value = value.parse().map_err(|_| wrong("This is no value that it can have."))?;
        Ok(Self(Some(value), PhantomData))
    }
}
