//! The gate before apps that have no owner yet: what the proxy is answered, and what the database
//! remembers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use fresco_core::memory::MemoryWorld;
use fresco_core::{ClaimGates, Orchestrator, TenantId};
use fresco_server::accounts::AuditQuery;
use fresco_server::settings::Values;
use fresco_server::{Config, Gates, Platform, app};
use futures_util::future::join_all;
use poem::endpoint::BoxEndpoint;
use poem::test::TestClient;
use poem::{EndpointExt, Response};
use secrecy::ExposeSecret;

use support::SECRET;
use support::postgres::Database;

const SERVER: &str = "127.0.0.1:3000";

fn gates(accounts: &fresco_server::accounts::Accounts) -> Gates {
    Gates::new(accounts.clone(), SERVER.parse().unwrap())
}

/// The service in production, as the proxy sees it.
async fn service(database: &Database) -> TestClient<BoxEndpoint<'static, Response>> {
    service_with(database, "1200/minute").await
}

/// The same, where one may look so often.
async fn service_with(
    database: &Database,
    reads: &str,
) -> TestClient<BoxEndpoint<'static, Response>> {
    let config = Config::read(&Values::new([
        ("RATE_READS", reads),
        ("DATABASE_URL", database.url.as_str()),
        ("AUTH_SECRET", SECRET),
        ("PUBLIC_URL", "https://platform.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("BASE_DOMAIN", "example.org"),
        ("SIGNUP", "open"),
    ]))
    .unwrap();
    let backends = MemoryWorld::new().backends();
    let orchestrator = Orchestrator::builder(backends, config.base_domain.clone()).build();
    let platform = Platform::new(config, orchestrator.await.unwrap(), database.accounts().await);
    TestClient::new(app(platform).map_to_response().boxed())
}

/// What the proxy asks, for a GET of this address with this cookie.
async fn ask(
    service: &TestClient<BoxEndpoint<'static, Response>>,
    tenant: TenantId,
    uri: &str,
    cookie: &str,
) -> Response {
    let request = service.get(format!("/internal/gate/{tenant}")).header("host", SERVER);
    // The visitor's own headers come along, whatever they are.
    let request = request.header("origin", "https://evil.example").header("cookie", cookie);
    let request = request.header("x-forwarded-method", "GET").header("x-forwarded-uri", uri);
    request.send().await.0
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_proxy_is_answered_and_nobody_else() {
    let database = Database::migrated().await;
    let (accounts, service) = (database.accounts().await, service(&database).await);
    let tenant = TenantId::new();
    let gate = gates(&accounts).gate(tenant, false).await.unwrap().expect("a gate");
    assert_eq!(gate.url, format!("http://{SERVER}/internal/gate/{tenant}"));

    for (uri, cookie) in [
        ("/", ""),
        ("/setup?fresco_claim=", ""),
        ("/setup?fresco_claim=0000", "__Host-fresco_gate=0000"),
    ] {
        assert_eq!(ask(&service, tenant, uri, cookie).await.status(), 403, "{uri}");
    }
    // One that nobody made is closed, and so is what is none.
    assert_eq!(ask(&service, TenantId::new(), "/", "").await.status(), 403);
    // From the public address there is no gate.
    let public = service.get(format!("/internal/gate/{tenant}"));
    let public = public.header("host", "platform.example.org").send().await.0;
    assert_eq!(public.status(), 404);
    let foreign = service.get(format!("/internal/gate/{tenant}"));
    assert_eq!(foreign.header("host", "x.example.org").send().await.0.status(), 421);

    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let word = accounts.claim_word(&claim);
    let word = word.expose_secret();
    // A program that looks at links uses none up.
    let looks = service.get(format!("/internal/gate/{tenant}")).header("host", SERVER);
    let looks = looks.header("x-forwarded-method", "HEAD");
    let looks = looks.header("x-forwarded-uri", format!("/setup?fresco_claim={word}"));
    assert_eq!(looks.send().await.0.status(), 403);
    let entered = ask(&service, tenant, &format!("/setup?fresco_claim={word}"), "").await;
    assert_eq!(entered.status(), 303);
    assert_eq!(entered.headers()["location"], "/setup");
    let line = entered.headers()["set-cookie"].to_str().unwrap();
    let (pass, rest) = line.split_once(';').unwrap();
    assert!(pass.starts_with("__Host-fresco_gate="), "{line}");
    assert_eq!(rest, " Path=/; Max-Age=7200; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(ask(&service, tenant, "/anywhere", pass).await.status(), 204);
    assert!(accounts.claim(tenant).await.unwrap().unwrap().entered_at.is_some());
    let twice = format!("{pass}; {pass}");
    assert_eq!(ask(&service, tenant, "/anywhere", &twice).await.status(), 403);
    // The audit log tells that somebody came in, once, and about which tenant.
    let query = AuditQuery { tenant: Some(tenant.as_uuid()), limit: 10, ..AuditQuery::default() };
    let audit = accounts.audit(&query).await.unwrap().rows;
    assert_eq!(audit.len(), 1, "{audit:#?}");
    assert_eq!((&*audit[0].event, &*audit[0].means), ("gate_entered", "link"));
    // Neither the link nor the pass stands in the database.
    let everything = database.everything().await;
    for secret in [word, pass.split('=').next_back().unwrap()] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
    // Whoever uses the next link has the app alone.
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let next = accounts.claim_word(&claim);
    let next = format!("/setup?fresco_claim={}", next.expose_secret());
    assert_eq!(ask(&service, tenant, &next, "").await.status(), 303);
    assert_eq!(ask(&service, tenant, "/anywhere", pass).await.status(), 403);

    // A database that is away opens nothing.
    database.execute("ALTER TABLE fresco_server.claims RENAME TO away").await;
    assert_eq!(ask(&service, tenant, "/anywhere", pass).await.status(), 503);
    database.execute("ALTER TABLE fresco_server.away RENAME TO claims").await;
    accounts.open_claim(tenant).await.unwrap();
    support::soon("the server hears of it", async {
        while ask(&service, tenant, "/", "").await.status() != 204 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_link_is_good_for_one_use_however_many_come_at_once() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let tenant = TenantId::new();
    accounts.close_claim(tenant).await.unwrap();
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let word = accounts.claim_word(&claim);
    let entered = join_all((0..20).map(|_| accounts.enter_claim(&claim, &word))).await;
    let passes: Vec<_> = entered.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(passes.len(), 1);
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    assert!(accounts.passes_claim(&claim, &passes[0]));
    // Closing it again changes nothing for who is in.
    accounts.close_claim(tenant).await.unwrap();
    let again = accounts.claim(tenant).await.unwrap().unwrap();
    assert!(accounts.passes_claim(&again, &passes[0]));
    // Another tenant's word and pass are good for nothing.
    let other = TenantId::new();
    accounts.close_claim(other).await.unwrap();
    let other = accounts.claim(other).await.unwrap().unwrap();
    let word = accounts.claim_word(&again);
    assert!(accounts.enter_claim(&other, &word).await.unwrap().is_none());
    assert!(!accounts.passes_claim(&other, &passes[0]));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn it_opens_when_the_owner_says_so_or_had_time_and_not_before() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let gates = gates(&accounts);
    let (said, had_time, never_came) = (TenantId::new(), TenantId::new(), TenantId::new());
    let is_open = async |tenant, was_active| {
        gates.gate(tenant, was_active).await.unwrap().expect("a gate").is_open
    };
    for tenant in [said, had_time, never_came] {
        assert!(!is_open(tenant, false).await);
        assert!(!is_open(tenant, true).await, "also for its next container");
    }
    assert!(accounts.open_claim(said).await.unwrap());
    let claim = accounts.claim(had_time).await.unwrap().unwrap();
    let word = accounts.claim_word(&claim);
    accounts.enter_claim(&claim, &word).await.unwrap().expect("a pass");
    let used = accounts.claim(had_time).await.unwrap().unwrap();
    assert_eq!(used.entered_at, None, "a link may be used by a program that looks at it");
    accounts.came_in(had_time).await.unwrap();
    assert!(!accounts.claim(had_time).await.unwrap().unwrap().open);
    let shift = |minutes: u32| {
        format!(
            "UPDATE fresco_server.claims SET made_at = now() - interval '1 year',
                entered_at = entered_at - make_interval(mins => {minutes})"
        )
    };
    database.execute(&shift(119)).await;
    assert!(!is_open(had_time, true).await, "after 1 h 59");
    database.execute(&shift(2)).await;
    assert!(is_open(had_time, true).await, "after 2 h 1");
    assert!(is_open(said, true).await);
    assert!(is_open(said, false).await, "it is never closed again");
    // Who never came finds the app as it was, however late.
    assert!(!is_open(never_came, true).await);
    // One that was open to everybody before there were gates stays so.
    assert!(gates.gate(TenantId::new(), true).await.unwrap().is_none());
    assert!(!accounts.open_claim(TenantId::new()).await.unwrap());
}

/// What could be a pass has to be looked up, which is done so often for one address; what can't be one
/// is not looked up at all.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_stranger_with_many_passes_is_asked_to_wait() {
    let database = Database::migrated().await;
    let (accounts, service) = (database.accounts().await, service_with(&database, "3/hour").await);
    let tenant = TenantId::new();
    gates(&accounts).gate(tenant, false).await.unwrap().expect("a gate");
    assert_eq!(ask(&service, tenant, "/", "").await.status(), 403);
    for number in 0..10 {
        let nonsense = format!("__Host-fresco_gate={number}");
        let answer = ask(&service, tenant, &format!("/?fresco_claim={number}"), &nonsense).await;
        assert_eq!(answer.status(), 403);
    }
    let guess = |number: u32| format!("__Host-fresco_gate={number:064}");
    for number in 0..2 {
        assert_eq!(ask(&service, tenant, "/", &guess(number)).await.status(), 403);
    }
    let told = ask(&service, tenant, "/", &guess(2)).await;
    assert_eq!(told.status(), 429);
    assert!(told.headers().contains_key("retry-after"), "{:?}", told.headers());
    assert!(told.content_type().unwrap().starts_with("text/html"), "{:?}", told.headers());
}
