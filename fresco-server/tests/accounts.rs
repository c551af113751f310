//! Accounts, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result, TenantId};
use fresco_server::accounts::{
    Accounts, Email, KeyCreation, NewApiKey, NewLogin, NewSession, NewUser, Password,
    PasswordChange, Scope, UseCase, User, WizardChoice, WizardClaim, WizardSession, WizardStep,
    WizardUpdate,
};
use secrecy::{ExposeSecret, SecretString};
use support::postgres::{Database, Server};
use support::{PASSWORD, SECRET, secret};

const OTHER: &str = "another password";

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn password(text: &str) -> Password {
    Password::new(secret(text)).unwrap()
}

fn account(text: &str) -> WizardStep {
    WizardStep::Account { password: password(text), name: Some("Ada".into()) }
}

fn use_case() -> WizardStep {
    WizardStep::UseCase { use_case: UseCase::Other, other_text: Some("a course".into()) }
}

fn subdomain() -> WizardStep {
    WizardStep::Subdomain("my-study".parse().unwrap())
}

async fn sign_up(accounts: &Accounts, address: &str) -> Option<User> {
    let new =
        NewUser { email: email(address), password: password(PASSWORD), name: None, invite: None };
    accounts.sign_up(&new).await.unwrap()
}

async fn authenticate(accounts: &Accounts, address: &str, text: &str) -> Option<User> {
    accounts.authenticate(&email(address), &secret(text)).await.unwrap()
}

async fn open(accounts: &Accounts, user: &User) -> NewSession {
    accounts.open_session(user, &NewLogin::default()).await.unwrap().unwrap()
}

async fn is_signed_in(accounts: &Accounts, token: &SecretString) -> bool {
    accounts.session(token).await.unwrap().is_some()
}

async fn begin(accounts: &Accounts, address: &str) -> SecretString {
    accounts.begin_wizard(&email(address), None).await.unwrap().token
}

async fn done(accounts: &Accounts, token: &SecretString, step: WizardStep) -> WizardSession {
    match accounts.update_wizard(token, step).await.unwrap() {
        WizardUpdate::Done(session) => session,
        other => panic!("{other:?}"),
    }
}

/// A session of the wizard whose steps are all done.
async fn filled(accounts: &Accounts, address: &str, text: &str) -> SecretString {
    let token = begin(accounts, address).await;
    for step in [account(text), use_case(), subdomain(), WizardStep::Accept] {
        done(accounts, &token, step).await;
    }
    token
}

/// A store that accepts every tenant.
async fn accept(_: WizardChoice) -> Result<()> {
    Ok(())
}

async fn owner(accounts: &Accounts, token: &SecretString) -> Option<User> {
    match accounts.claim_wizard(token, accept).await.unwrap() {
        WizardClaim::Owned { user, .. } => Some(user),
        WizardClaim::SignInRequired => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn tables_are_made_once_by_whoever_comes() {
    let database = Server::shared().await.database().await;
    let config = database.config(SECRET);
    let error = Accounts::connect(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.chain().contains("fresco-server migrate"), "{}", error.chain());
    let all = (0..6).map(|_| Accounts::migrate(&config));
    for migrated in futures_util::future::join_all(all).await {
        migrated.unwrap();
    }
    Accounts::migrate(&config).await.unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let all = i64::try_from(std::fs::read_dir(folder).unwrap().count()).unwrap();
    assert_eq!(database.count("migrations").await, all);
    Accounts::connect(config.clone()).await.unwrap().health().await.unwrap();
    // As an older version left them.
    let sql = "DELETE FROM fresco_server.migrations WHERE version = (SELECT max(version) FROM fresco_server.migrations)";
    database.execute(sql).await;
    let error = Accounts::connect(config).await.unwrap_err();
    assert!(error.chain().contains("older version"), "{}", error.chain());
}

#[tokio::test]
async fn without_a_server_it_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgresql://role:hunter2@127.0.0.1:{port}/x");
    let config = fresco_server::accounts::AccountsConfig::new(secret(&url), secret(SECRET));
    for error in [
        Accounts::migrate(&config).await.unwrap_err(),
        Accounts::connect(config).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
        assert!(error.chain().contains(&port.to_string()), "{}", error.chain());
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_address_has_one_account() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "Ada@Example.org").await.unwrap();
    assert_eq!(ada.email, "Ada@Example.org");
    assert_eq!(sign_up(&accounts, "ada@example.ORG").await, None);
    assert_eq!(authenticate(&accounts, "ADA@example.org", PASSWORD).await, Some(ada));
    assert_eq!(authenticate(&accounts, "ada@example.org", OTHER).await, None);
    assert_eq!(authenticate(&accounts, "bob@example.org", PASSWORD).await, None);
    let (one, two) = tokio::join!(sign_up(&accounts, "bob@b.org"), sign_up(&accounts, "Bob@b.org"));
    assert!(one.is_some() != two.is_some());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_session_lives_until_it_is_closed_or_too_old() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let first = open(&accounts, &ada).await.token;
    let second = open(&accounts, &ada).await;
    let session = accounts.session(&second.token).await.unwrap().unwrap();
    assert_eq!((session.user, session.expires_at), (ada.clone(), second.expires_at));
    let left = session.expires_at - chrono::Utc::now();
    assert!((23..=24).contains(&left.num_hours()), "{left}");
    assert!(accounts.close_session(&first).await.unwrap());
    assert!(!accounts.close_session(&first).await.unwrap(), "once");
    assert!(!is_signed_in(&accounts, &first).await);
    assert!(is_signed_in(&accounts, &second.token).await);
    database.execute("UPDATE fresco_server.sessions SET expires_at = now()").await;
    assert!(!is_signed_in(&accounts, &second.token).await);
    // What is too old is cleared away when somebody else comes.
    let third = open(&accounts, &ada).await.token;
    assert_eq!(database.count("sessions").await, 1);
    assert!(is_signed_in(&accounts, &third).await);
}

/// Somebody's password was looked at, and is another before their session is opened: what ended all
/// sessions has not seen this one.
#[tokio::test]
#[ignore = "needs Docker"]
async fn an_old_password_opens_no_session_after_the_new_one_is_set() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let made = sign_up(&accounts, "ada@example.org").await.unwrap();
    let (current, new) = (secret(PASSWORD), password(OTHER));
    let before = authenticate(&accounts, "ada@example.org", PASSWORD).await.unwrap();
    let changed = accounts.change_password(&made, &current, &new, None).await.unwrap();
    assert_eq!(changed, PasswordChange::Done);
    assert!(accounts.open_session(&before, &NewLogin::default()).await.unwrap().is_none());

    let now = authenticate(&accounts, "ada@example.org", OTHER).await.unwrap();
    accounts.suspend(now.id, None).await.unwrap();
    assert!(accounts.open_session(&now, &NewLogin::default()).await.unwrap().is_none());
    accounts.resume(now.id).await.unwrap();
    assert_eq!(database.count("sessions").await, 0);
    open(&accounts, &now).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_session_that_has_ended_makes_no_key() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let session = accounts.session(&open(&accounts, &ada).await.token).await.unwrap().unwrap().id;
    let scopes = [Scope::TenantsRead].into();
    let life = Duration::from_secs(60);
    let new = NewApiKey { name: "k".into(), scopes, life, once: None };
    let bob = sign_up(&accounts, "bob@example.org").await.unwrap();
    let made = accounts.create_api_key(bob.id, session, &new).await.unwrap();
    assert!(matches!(made, KeyCreation::SignedOut), "with another's session: {made:?}");
    let made = accounts.create_api_key(ada.id, session, &new).await.unwrap();
    assert!(matches!(made, KeyCreation::Made { .. }), "{made:?}");
    accounts.revoke_all(ada.id, None).await.unwrap();
    let made = accounts.create_api_key(ada.id, session, &new).await.unwrap();
    assert!(matches!(made, KeyCreation::SignedOut), "{made:?}");
    assert_eq!(database.count("api_keys").await, 0);
}

/// Whoever finds the token of a session of the wizard has no way in once its owner set another password.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_session_of_the_wizard_opens_its_account_until_the_password_is_another() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let token = filled(&accounts, "ada@example.org", PASSWORD).await;
    let claim = || accounts.claim_wizard(&token, async |_| Ok(()));
    let WizardClaim::Owned { user, .. } = claim().await.unwrap() else { panic!("no account") };
    assert!(matches!(claim().await.unwrap(), WizardClaim::Owned { .. }), "its answer may be lost");
    let (current, new) = (secret(PASSWORD), password(OTHER));
    accounts.change_password(&user, &current, &new, None).await.unwrap();
    assert_eq!(claim().await.unwrap(), WizardClaim::SignInRequired);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_account_keeps_its_newest_fifty_sessions() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let bob = sign_up(&accounts, "bob@example.org").await.unwrap();
    let other = open(&accounts, &bob).await.token;
    let mut tokens = Vec::new();
    for _ in 0..52 {
        tokens.push(open(&accounts, &ada).await.token);
    }
    assert_eq!(database.count("sessions").await, 51);
    assert!(!is_signed_in(&accounts, &tokens[1]).await);
    assert!(is_signed_in(&accounts, &tokens[2]).await);
    assert!(is_signed_in(&accounts, &other).await);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn another_secret_ends_all_sessions() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let token = open(&accounts, &ada).await.token;
    let wizard = begin(&accounts, "ada@example.org").await;
    let changed = SECRET.replace('0', "1");
    let other = Accounts::connect(database.config(&changed)).await.unwrap();
    assert!(!is_signed_in(&other, &token).await);
    assert_eq!(other.wizard(&wizard).await.unwrap(), None);
    assert_eq!(authenticate(&other, "ada@example.org", PASSWORD).await, Some(ada));
    assert!(is_signed_in(&accounts, &token).await);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_database_holds_no_secret_in_clear() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let login = open(&accounts, &ada).await.token;
    let wizard = filled(&accounts, "bob@example.org", PASSWORD).await;
    accounts.tenant_for_key(ada.id, "tenants.create", "key-1", b"hunter2").await.unwrap();
    let everything = database.everything().await;
    assert!(everything.contains("bob@example.org"), "{everything}");
    assert!(everything.contains("a course") && everything.contains("key-1"), "{everything}");
    for clear in [PASSWORD, login.expose_secret(), wizard.expose_secret(), "hunter2"] {
        assert!(!everything.contains(clear), "{clear}");
    }
    assert_eq!(everything.matches("$argon2id$").count(), 2);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_account_is_made_only_with_its_tenant() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let token = filled(&accounts, "ada@example.org", PASSWORD).await;
    let answer = |kind| move |_: WizardChoice| async move { Err::<(), _>(Error::new(kind, "no")) };
    let people = || database.count("users");
    for refusal in [ErrorKind::Exhausted, ErrorKind::Conflict, ErrorKind::Invalid] {
        accounts.claim_wizard(&token, answer(refusal)).await.unwrap_err();
        assert_eq!(people().await, 0, "{refusal}: nothing was accepted, so nobody is there");
    }
    // The session goes on: another password, another try.
    done(&accounts, &token, account("another password")).await;
    for unknown in [ErrorKind::Unavailable, ErrorKind::TimedOut, ErrorKind::Internal] {
        accounts.claim_wizard(&token, answer(unknown)).await.unwrap_err();
        assert_eq!(people().await, 1, "{unknown}: a tenant may be there, and has its owner");
    }
    assert!(owner(&accounts, &token).await.is_some());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn steps_of_the_wizard_come_in_order() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let token = begin(&accounts, "ada@example.org").await;
    for step in [use_case(), subdomain(), WizardStep::Accept] {
        let early = accounts.update_wizard(&token, step).await.unwrap();
        assert_eq!(early, WizardUpdate::Early { next: 1 });
    }
    let claim = accounts.claim_wizard(&token, accept).await.unwrap();
    assert_eq!(claim, WizardClaim::Incomplete { next: 1 });
    for (number, step) in [(1, account(PASSWORD)), (2, use_case()), (3, subdomain())] {
        assert_eq!(done(&accounts, &token, step).await.step_completed, number);
    }
    let claim = accounts.claim_wizard(&token, accept).await.unwrap();
    assert_eq!(claim, WizardClaim::Incomplete { next: 4 });
    // Back, and nothing of what came after is lost.
    let other = WizardStep::UseCase { use_case: UseCase::Study, other_text: None };
    let session = done(&accounts, &token, other).await;
    assert_eq!((session.step_completed, session.data.use_case), (3, Some(UseCase::Study)));
    assert_eq!(session.data.subdomain, Some("my-study".parse().unwrap()));
    assert_eq!(session.data.other_text, None);
    let session = done(&accounts, &token, WizardStep::Accept).await;
    assert_eq!(session.next(), None);
    assert_eq!(accounts.wizard(&token).await.unwrap(), Some(session));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_session_of_the_wizard_is_for_its_holder_and_for_an_hour() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let token = filled(&accounts, "ada@example.org", PASSWORD).await;
    let again = begin(&accounts, "ada@example.org").await;
    assert_eq!(accounts.wizard(&again).await.unwrap().unwrap().step_completed, 0);
    for stranger in [secret("nonsense"), secret(&"a".repeat(64))] {
        assert_eq!(accounts.wizard(&stranger).await.unwrap(), None);
        let update = accounts.update_wizard(&stranger, account(PASSWORD)).await.unwrap();
        assert_eq!(update, WizardUpdate::Unknown);
        assert_eq!(accounts.claim_wizard(&stranger, accept).await.unwrap(), WizardClaim::Unknown);
    }
    let left = accounts.wizard(&token).await.unwrap().unwrap().expires_at - chrono::Utc::now();
    assert!((59..=60).contains(&left.num_minutes()), "{left}");
    database.execute("UPDATE fresco_server.wizard_sessions SET expires_at = now()").await;
    assert_eq!(accounts.wizard(&token).await.unwrap(), None);
    assert_eq!(accounts.claim_wizard(&token, accept).await.unwrap(), WizardClaim::Unknown);
    let update = accounts.update_wizard(&token, use_case()).await.unwrap();
    assert_eq!(update, WizardUpdate::Unknown);
    begin(&accounts, "bob@example.org").await;
    assert_eq!(database.count("wizard_sessions").await, 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_end_of_the_wizard_makes_one_account() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let token = filled(&accounts, "ada@example.org", PASSWORD).await;
    let claims = (0..8).map(|_| owner(&accounts, &token));
    let users = futures_util::future::join_all(claims).await;
    let ada = users[0].clone().unwrap();
    assert_eq!((ada.email.as_str(), ada.name.as_deref()), ("ada@example.org", Some("Ada")));
    assert!(users.iter().all(|user| *user == Some(ada.clone())), "{users:?}");
    assert_eq!(
        database.count("users WHERE use_case = 'other' AND use_case_text = 'a course'").await,
        1
    );
    assert_eq!(authenticate(&accounts, "ada@example.org", PASSWORD).await, Some(ada));
    // Whoever holds the session can't give the account another password.
    let update = accounts.update_wizard(&token, account(OTHER)).await.unwrap();
    assert_eq!(update, WizardUpdate::AccountMade);
    assert_eq!(authenticate(&accounts, "ada@example.org", OTHER).await, None);
    done(&accounts, &token, use_case()).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_address_with_an_account_needs_its_password() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap();
    let wrong = filled(&accounts, "Ada@example.org", OTHER).await;
    assert_eq!(owner(&accounts, &wrong).await, None);
    let right = filled(&accounts, "Ada@example.org", PASSWORD).await;
    assert_eq!(owner(&accounts, &right).await, Some(ada.clone()));
    // Step 1 again, with the right one.
    done(&accounts, &wrong, account(PASSWORD)).await;
    assert_eq!(owner(&accounts, &wrong).await, Some(ada.clone()));
    // Again with a wrong one: what was right before counts no more.
    done(&accounts, &wrong, account(OTHER)).await;
    assert_eq!(owner(&accounts, &wrong).await, None);
    // The password was changed since it was typed.
    database.execute("UPDATE fresco_server.users SET password_hash = password_hash || 'x'").await;
    assert_eq!(owner(&accounts, &right).await, None);
    assert_eq!(database.count("users").await, 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn of_two_sessions_of_one_address_one_makes_the_account() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let first = filled(&accounts, "ada@example.org", PASSWORD).await;
    let second = filled(&accounts, "ada@example.org", OTHER).await;
    let (one, two) = tokio::join!(owner(&accounts, &first), owner(&accounts, &second));
    assert!(one.is_some() != two.is_some(), "{one:?} {two:?}");
    assert_eq!(database.count("users").await, 1);
    let (late, text) = if one.is_some() { (&second, PASSWORD) } else { (&first, OTHER) };
    done(&accounts, late, account(text)).await;
    assert_eq!(owner(&accounts, late).await, one.or(two));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_request_is_known_by_its_key_for_a_day() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let ada = sign_up(&accounts, "ada@example.org").await.unwrap().id;
    let bob = sign_up(&accounts, "bob@example.org").await.unwrap().id;
    let ask = |user, call, key: &'static str, body: &'static [u8]| {
        let accounts = accounts.clone();
        async move { accounts.tenant_for_key(user, call, key, body).await.unwrap() }
    };
    let many = (0..8).map(|_| ask(ada, "create", "k", b"body"));
    let tenants: Vec<Option<TenantId>> = futures_util::future::join_all(many).await;
    assert!(tenants[0].is_some() && tenants.iter().all(|one| *one == tenants[0]), "{tenants:?}");
    assert_eq!(ask(ada, "create", "k", b"another").await, None);
    assert_ne!(ask(bob, "create", "k", b"body").await, tenants[0]);
    assert_ne!(ask(ada, "copy", "k", b"body").await, tenants[0]);
    assert_ne!(ask(ada, "create", "l", b"body").await, tenants[0]);
    for key in ["", "a b", "ä", "nul\0", &"k".repeat(256)] {
        let error = accounts.tenant_for_key(ada, "create", key, b"").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{key}");
    }
    database.execute("UPDATE fresco_server.idempotency_keys SET expires_at = now()").await;
    let fresh = ask(ada, "create", "k", b"another").await;
    assert!(fresh.is_some() && fresh != tenants[0]);
    assert_eq!(database.count("idempotency_keys").await, 1);
}
