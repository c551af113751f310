//! What each call answers to whom. A new call needs a row here.

use serde_json::{Value, json};

use crate::support::PASSWORD;

/// Who asks; each row has an answer for each, in this order.
pub const ASKERS: [&str; 9] = [
    "anonymous",
    "other user",
    "owner",
    "admin",
    "key",
    "key without the scope",
    "revoked key",
    "expired session",
    "cookie and key",
];

/// `ok`, or the status and the code of a refusal.
type Answers = [&'static str; ASKERS.len()];

/// For everybody, whatever they carry.
const PUBLIC: Answers = ["ok"; ASKERS.len()];
/// For everybody; what a cookie stands for is looked at, and a key has no place.
const EVERYBODY: Answers = [
    "ok",
    "ok",
    "ok",
    "ok",
    "403 session_required",
    "403 session_required",
    "403 session_required",
    "ok",
    "400 two_credentials",
];
/// For whoever signed in.
const SIGNED_IN: Answers = [
    "401 not_signed_in",
    "ok",
    "ok",
    "ok",
    "403 session_required",
    "403 session_required",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];
/// For whoever signed in, of something that is the owner's.
const SIGNED_IN_OWNER: Answers = [
    "401 not_signed_in",
    "404 not_found",
    "ok",
    "404 not_found",
    "403 session_required",
    "403 session_required",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];
/// For whoever signed in or has a key, of what is their own.
const OWN: Answers = [
    "401 not_signed_in",
    "ok",
    "ok",
    "ok",
    "ok",
    "403 insufficient_scope",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];
/// For the owner of a tenant: an admin is none.
const OWNER: Answers = [
    "401 not_signed_in",
    "404 not_found",
    "ok",
    "404 not_found",
    "ok",
    "403 insufficient_scope",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];
/// For admins; keys and sessions are an admin's here.
const ADMIN: Answers = [
    "401 not_signed_in",
    "403 not_admin",
    "403 not_admin",
    "ok",
    "ok",
    "403 insufficient_scope",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];

/// For admins who signed in.
const ADMIN_SIGNED_IN: Answers = [
    "401 not_signed_in",
    "403 not_admin",
    "403 not_admin",
    "ok",
    "403 session_required",
    "403 session_required",
    "401 invalid_key",
    "401 not_signed_in",
    "400 two_credentials",
];

/// What the document says that a call takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    Nothing,
    Session,
    /// A session, or a key with this scope.
    Key(&'static str),
}

/// What a call is about. It is made anew for each answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum About {
    Nothing,
    /// A running tenant of the owner's.
    Tenant,
    /// The operation that made one.
    Operation,
    /// A further session of the owner's.
    Session,
    /// A further key of the owner's.
    Key,
    /// Somebody's account.
    Account,
    /// A session of the wizard.
    Wizard,
}

/// That of which a row is.
pub struct Thing {
    pub id: String,
    /// A name that nothing else has; a tenant's subdomain.
    pub name: String,
}

pub struct Row {
    pub operation: &'static str,
    pub answers: Answers,
    pub takes: Takes,
    pub about: About,
    pub body: fn(&Thing) -> Value,
    /// The status of `ok`.
    pub good: u16,
}

const fn row(
    operation: &'static str,
    answers: Answers,
    takes: Takes,
    about: About,
    good: u16,
    body: fn(&Thing) -> Value,
) -> Row {
    Row { operation, answers, takes, about, body, good }
}

fn empty(_: &Thing) -> Value {
    json!({})
}

fn tenant(thing: &Thing) -> Value {
    json!({ "tenantId": thing.id })
}

fn user(thing: &Thing) -> Value {
    json!({ "userId": thing.id })
}

fn session(thing: &Thing) -> Value {
    json!({ "sessionId": thing.id })
}

fn sign_up(thing: &Thing) -> Value {
    json!({
        "email": format!("{}@example.org", thing.name), "password": PASSWORD,
        "termsAccepted": true, "privacyAccepted": true,
    })
}

fn sign_in(_: &Thing) -> Value {
    json!({ "email": "owner@example.org", "password": PASSWORD })
}

fn forgotten(thing: &Thing) -> Value {
    json!({ "email": format!("{}@example.org", thing.name) })
}

fn proof(_: &Thing) -> Value {
    json!({ "token": "0".repeat(64), "password": PASSWORD })
}

fn reset(_: &Thing) -> Value {
    json!({ "token": "0".repeat(64), "password": "another long password" })
}

fn profile(thing: &Thing) -> Value {
    json!({ "name": thing.name })
}

fn passwords(_: &Thing) -> Value {
    json!({ "current": PASSWORD, "new": PASSWORD })
}

fn code(thing: &Thing) -> Value {
    json!({ "sessionId": thing.id, "code": "00000000" })
}

fn destroy(thing: &Thing) -> Value {
    json!({ "tenantId": thing.id, "confirmation": thing.name })
}

fn update(thing: &Thing) -> Value {
    json!({ "tenantId": thing.id, "limits": { "memoryMb": 600 } })
}

fn step(thing: &Thing) -> Value {
    json!({ "sessionId": thing.id, "step": 1, "data": { "password": PASSWORD } })
}

fn new_key(thing: &Thing) -> Value {
    json!({ "name": thing.name, "scopes": ["tenants:read"] })
}

fn role(thing: &Thing) -> Value {
    json!({ "userId": thing.id, "role": "user" })
}

const READ: Takes = Takes::Key("tenants:read");
const WRITE: Takes = Takes::Key("tenants:write");
const LOGS: Takes = Takes::Key("logs:read");
const ADMINS: Takes = Takes::Key("admin");

/// The wizard begins with nothing to deploy, which it says to everybody.
const UNDONE: Answers = ["409 wizard_incomplete"; ASKERS.len()];

/// Whoever asks has no letter, and is told so.
const NO_TOKEN: Answers = ["404 unknown_token"; ASKERS.len()];
/// Without mail there is no code.
const NO_CODE: Answers = ["409 no_mail"; ASKERS.len()];

pub const TABLE: &[Row] = &[
    row("health", PUBLIC, Takes::Nothing, About::Nothing, 200, empty),
    row(
        "wizard_check_subdomain",
        EVERYBODY,
        Takes::Nothing,
        About::Nothing,
        200,
        |thing| json!({ "subdomain": thing.name }),
    ),
    row(
        "wizard_create_session",
        PUBLIC,
        Takes::Nothing,
        About::Nothing,
        200,
        |thing| json!({ "email": format!("{}@example.org", thing.name) }),
    ),
    row("wizard_update_session", EVERYBODY, Takes::Nothing, About::Wizard, 200, step),
    row("wizard_get_session", PUBLIC, Takes::Nothing, About::Wizard, 200, session),
    row("wizard_verify_email", NO_CODE, Takes::Nothing, About::Wizard, 200, code),
    row("wizard_resend_code", NO_CODE, Takes::Nothing, About::Wizard, 202, session),
    row("wizard_deploy_tenant", UNDONE, Takes::Nothing, About::Wizard, 202, session),
    row("wizard_get_deployment_status", OWNER, READ, About::Tenant, 200, tenant),
    row("auth_sign_up", PUBLIC, Takes::Nothing, About::Nothing, 200, sign_up),
    row("auth_sign_in", PUBLIC, Takes::Nothing, About::Nothing, 200, sign_in),
    row("auth_sign_out", EVERYBODY, Takes::Nothing, About::Nothing, 200, empty),
    row("auth_get_session", EVERYBODY, Takes::Nothing, About::Nothing, 200, empty),
    row("auth_request_password_reset", PUBLIC, Takes::Nothing, About::Nothing, 202, forgotten),
    row("auth_reset_password", NO_TOKEN, Takes::Nothing, About::Nothing, 200, reset),
    row("auth_verify_email", NO_TOKEN, Takes::Nothing, About::Nothing, 200, proof),
    row("auth_resend_verification", SIGNED_IN, Takes::Session, About::Nothing, 202, empty),
    row("auth_update_profile", SIGNED_IN, Takes::Session, About::Nothing, 200, profile),
    row("auth_change_password", SIGNED_IN, Takes::Session, About::Nothing, 200, passwords),
    row("auth_list_sessions", SIGNED_IN, Takes::Session, About::Nothing, 200, empty),
    row("auth_revoke_other_sessions", SIGNED_IN, Takes::Session, About::Nothing, 200, empty),
    row("auth_revoke_session", SIGNED_IN_OWNER, Takes::Session, About::Session, 200, session),
    row("api_keys_create", SIGNED_IN, Takes::Session, About::Nothing, 200, new_key),
    row("api_keys_list", SIGNED_IN, Takes::Session, About::Nothing, 200, empty),
    row(
        "api_keys_revoke",
        SIGNED_IN_OWNER,
        Takes::Session,
        About::Key,
        200,
        |thing| json!({ "keyId": thing.id }),
    ),
    row(
        "tenants_create",
        OWN,
        WRITE,
        About::Nothing,
        202,
        |thing| json!({ "subdomain": thing.name }),
    ),
    row("tenants_list", OWN, READ, About::Nothing, 200, empty),
    row("tenants_get", OWNER, READ, About::Tenant, 200, tenant),
    row("tenants_open_gate", SIGNED_IN_OWNER, Takes::Session, About::Tenant, 200, tenant),
    row("tenants_start", OWNER, WRITE, About::Tenant, 202, tenant),
    row("tenants_stop", OWNER, WRITE, About::Tenant, 202, tenant),
    row("tenants_restart", OWNER, WRITE, About::Tenant, 202, tenant),
    row("tenants_update", OWNER, WRITE, About::Tenant, 202, update),
    row("tenants_destroy", OWNER, WRITE, About::Tenant, 202, destroy),
    row("tenants_get_logs", OWNER, LOGS, About::Tenant, 200, tenant),
    row("tenants_logs", OWNER, LOGS, About::Tenant, 200, empty),
    row("operations_events", OWNER, READ, About::Operation, 200, empty),
    row("admin_users", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_tenants", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_operations", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_capacity", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_audit", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_alerts", ADMIN, ADMINS, About::Nothing, 200, empty),
    row("admin_suspend_user", ADMIN, ADMINS, About::Account, 200, user),
    row("admin_resume_user", ADMIN, ADMINS, About::Account, 200, user),
    row("admin_set_role", ADMIN_SIGNED_IN, Takes::Session, About::Account, 200, role),
];
