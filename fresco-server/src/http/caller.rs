//! Who calls, and by what means.
//!
//! Every call of the API says in the type of its caller who may make it: `caller: Caller` is for
//! somebody who signed in, `caller: Caller<TenantsRead>` for the holder of a key with that scope as
//! well. The document is made of the same types.

use std::collections::BTreeSet;
use std::time::Duration;

use fresco_core::Actor;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use secrecy::SecretString;
use uuid::Uuid;

use crate::accounts::{AuditMeans, LoginSession, Scope, User};
use crate::audit::Trail;
use crate::http::credentials::{Credentials, cookie_name};
use crate::http::problem::Problem;
use crate::platform::Platform;

const SESSION: &str = "session";
/// How often it is looked whether somebody who listens still may.
const AGAIN: Duration = Duration::from_secs(10);

/// Who calls: whoever may not is answered 401 or 403, and the call is not made.
#[derive(Clone, Debug)]
pub(crate) struct Caller<A: Access = SessionOnly> {
    pub(crate) user: User,
    /// By what the request came.
    pub(crate) means: A::Means,
}

/// Who may make a call.
pub(crate) trait Access: Send + Sync + 'static {
    /// What the calls may come by.
    type Means: Send + Sync;

    /// The scope that a key needs; `None` where no key will do.
    const KEY: Option<Scope>;
    /// Whether it must be an admin.
    const ADMIN: bool;

    fn of_session(id: Uuid) -> Self::Means;

    fn of_key(id: Uuid) -> Option<Self::Means>;
}

/// Whoever signed in. A key will not do: it must not make others, or change what its owner signs in
/// with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionOnly;

/// An admin who signed in: a key that somebody found must not make that somebody an admin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdminSession;

macro_rules! sessions {
    ($($name:ident $admin:literal),*) => {$(
        impl Access for $name {
            type Means = Uuid;

            const KEY: Option<Scope> = None;
            const ADMIN: bool = $admin;

            fn of_session(id: Uuid) -> Uuid {
                id
            }

            fn of_key(_: Uuid) -> Option<Uuid> {
                None
            }
        }
    )*};
}

sessions!(SessionOnly false, AdminSession true);

/// By what a request came: a session or a key, with its id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Means {
    Session(Uuid),
    Key(Uuid),
}

/// A scope as a type.
pub(crate) trait Scoped: Send + Sync + 'static {
    const SCOPE: Scope;
}

impl<S: Scoped> Access for S {
    type Means = Means;

    const KEY: Option<Scope> = Some(S::SCOPE);
    const ADMIN: bool = matches!(S::SCOPE, Scope::Admin);

    fn of_session(id: Uuid) -> Means {
        Means::Session(id)
    }

    fn of_key(id: Uuid) -> Option<Means> {
        Some(Means::Key(id))
    }
}

macro_rules! scopes {
    ($($name:ident),*) => {$(
        #[doc = concat!("Whoever signed in, and keys with the scope ", stringify!($name), ".")]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl Scoped for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

// `Admin` lets in admins alone, by whatever means.
scopes!(TenantsRead, TenantsWrite, LogsRead, Admin);

impl<S: Scoped> Caller<S> {
    /// The one who asks for an operation.
    pub(crate) fn actor(&self) -> Actor {
        match self.means {
            Means::Session(_) => self.user.actor(),
            Means::Key(id) => Actor::Key(id.to_string()),
        }
    }

    /// Ends when the session or the key does, or the account is shut: whoever listens then hears no
    /// more.
    pub(crate) fn ended(&self, platform: &Platform) -> impl Future<Output = ()> + Send + use<S> {
        let (accounts, means) = (platform.accounts.clone(), self.means);
        async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                let lives = match means {
                    Means::Session(id) => accounts.session_lives(id).await,
                    Means::Key(id) => accounts.key_lives(id).await,
                };
                match lives {
                    Ok(true) => {}
                    Ok(false) => return,
                    // It is asked again, and a stream ends in any case.
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "whether a listener still may listen is unknown");
                    }
                }
            }
        }
    }
}

/// The session that a request carries, if it carries a live one.
#[derive(Clone, Debug)]
pub(crate) struct MaybeCaller {
    /// The cookie's value, live or not.
    pub(crate) token: Option<SecretString>,
    /// What it stands for.
    pub(crate) session: Option<LoginSession>,
}

fn credentials(request: &Request) -> Result<(&Platform, Credentials), Problem> {
    let platform = request.data::<Platform>().ok_or_else(Problem::internal)?;
    let https = platform.config.public_url.is_https();
    Ok((platform, Credentials::of(request, https)?))
}

/// Whether a request carries a session or a key that lives. Who may make a call is looked at by the call.
pub(crate) async fn is_known(request: &Request) -> Result<bool, Problem> {
    let (platform, credentials) = credentials(request)?;
    Ok(match credentials {
        Credentials::None => false,
        Credentials::Session(token) => platform.accounts.session(&token).await?.is_some(),
        Credentials::Key(key) => platform.accounts.key_holder(&key).await?.is_some(),
    })
}

async fn caller<A: Access>(request: &Request) -> Result<Caller<A>, Problem> {
    let (platform, credentials) = credentials(request)?;
    let accounts = &platform.accounts;
    let told = |user: &User, means| {
        Trail::of(request).caller(user.id, accounts.is_admin(user), means);
    };
    let (user, means) = match credentials {
        Credentials::None => return Err(Problem::not_signed_in()),
        Credentials::Session(token) => {
            let found = accounts.session(&token).await?.ok_or_else(Problem::not_signed_in)?;
            told(&found.user, AuditMeans::Session(Some(found.id)));
            (found.user, A::of_session(found.id))
        }
        Credentials::Key(key) => {
            let found = accounts.key_holder(&key).await?.ok_or_else(Problem::invalid_key)?;
            told(&found.user, AuditMeans::Key(Some(found.id)));
            let means = A::of_key(found.id).ok_or_else(Problem::session_required)?;
            check_scope(A::KEY, &found.scopes)?;
            (found.user, means)
        }
    };
    platform.throttle.account(request, user.id)?;
    if A::ADMIN && !accounts.is_admin(&user) {
        return Err(Problem::not_admin());
    }
    Ok(Caller { user, means })
}

fn check_scope(needed: Option<Scope>, held: &BTreeSet<Scope>) -> Result<(), Problem> {
    match needed.filter(|scope| !held.contains(scope)) {
        Some(scope) => Err(Problem::insufficient_scope(scope)),
        None => Ok(()),
    }
}

/// The name of the document's security scheme for keys with this scope, and what it says.
const fn key_scheme(scope: Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::TenantsRead => ("key_tenants_read", "An API key with the scope `tenants:read`."),
        Scope::TenantsWrite => ("key_tenants_write", "An API key with the scope `tenants:write`."),
        Scope::LogsRead => ("key_logs_read", "An API key with the scope `logs:read`."),
        Scope::Admin => ("key_admin", "An admin's API key with the scope `admin`."),
    }
}

impl<'a, A: Access> ApiExtractor<'a> for Caller<A> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = |ty, description| MetaSecurityScheme {
            ty,
            description: Some(description),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        let words = "The cookie that signing in sets; its name begins with `__Host-` over https.";
        let mut session = scheme("apiKey", words);
        (session.name, session.key_in) = (Some(cookie_name(false)), Some("cookie"));
        registry.create_security_scheme(SESSION, session);
        if let Some((name, words)) = A::KEY.map(key_scheme) {
            let mut key = scheme("http", words);
            (key.scheme, key.bearer_format) = (Some("bearer"), Some("fpk_<random>_<checksum>"));
            registry.create_security_scheme(name, key);
        }
    }

    fn security_schemes() -> Vec<&'static str> {
        std::iter::once(SESSION).chain(A::KEY.map(|scope| key_scheme(scope).0)).collect()
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(caller(request).await?)
    }
}

impl<'a> poem::FromRequest<'a> for MaybeCaller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let (platform, credentials) = credentials(request)?;
        let token = match credentials {
            Credentials::None => None,
            Credentials::Session(token) => Some(token),
            Credentials::Key(_) => return Err(Problem::session_required().into()),
        };
        let session = match &token {
            Some(token) => platform.accounts.session(token).await.map_err(Problem::from)?,
            None => None,
        };
        if let Some(LoginSession { id, user, .. }) = &session {
            let (admin, means) = (platform.accounts.is_admin(user), AuditMeans::Session(Some(*id)));
            Trail::of(request).caller(user.id, admin, means);
        }
        Ok(Self { token, session })
    }
}
