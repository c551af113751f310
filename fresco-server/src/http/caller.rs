//! Who calls.

use poem::http::header;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use secrecy::SecretString;
use uuid::Uuid;

use crate::accounts::{LoginSession, User};
use crate::http::problem::Problem;
use crate::platform::Platform;

const SCHEME: &str = "session";

/// The signed-in user; without one, the request is answered 401.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: User,
    /// The session by which the request came.
    pub(crate) session: Uuid,
}

/// The session that a request carries, if it carries a live one.
#[derive(Clone, Debug)]
pub(crate) struct MaybeCaller {
    /// The cookie's value, live or not.
    pub(crate) token: Option<SecretString>,
    /// What it stands for.
    pub(crate) session: Option<LoginSession>,
}

/// The name of the session's cookie: with https, one that no sibling site can plant.
pub(crate) const fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-fresco_session" } else { "fresco_session" }
}

/// The session's token. A cookie that comes more than once was planted beside the real one: then
/// none is believed.
fn token(request: &Request, name: &str) -> Option<SecretString> {
    let lines = request.headers().get_all(header::COOKIE).iter();
    let pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    match (values.next(), values.next()) {
        (Some(value), None) => Some(SecretString::from(value)),
        _ => None,
    }
}

async fn identify(request: &Request) -> poem::Result<MaybeCaller> {
    let platform = request.data::<Platform>().ok_or_else(Problem::internal)?;
    let name = cookie_name(platform.config.public_url.is_https());
    let token = token(request, name);
    let session = match &token {
        Some(token) => platform.accounts.session(token).await.map_err(Problem::from)?,
        None => None,
    };
    Ok(MaybeCaller { token, session })
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            SCHEME,
            MetaSecurityScheme {
                ty: "apiKey",
                description: Some(
                    "The cookie that signing in sets; its name begins with `__Host-` over https.",
                ),
                name: Some(cookie_name(false)),
                key_in: Some("cookie"),
                scheme: None,
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let session = identify(request).await?.session.ok_or_else(Problem::not_signed_in)?;
        let platform = request.data::<Platform>().ok_or_else(Problem::internal)?;
        platform.throttle.account(request, session.user.id)?;
        Ok(Self { user: session.user, session: session.id })
    }
}

impl<'a> poem::FromRequest<'a> for MaybeCaller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        identify(request).await
    }
}
