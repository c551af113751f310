//! Which calls are written into the audit log.

/// Each call of the API by its operationId, and whether it is written into the audit log: whatever
/// changes something, or tries to, is. Of the others it is written when somebody was not let in. A call
/// that is not named here is written, too.
pub const CALLS: &[(&str, bool)] = &[
    ("admin_alerts", false),
    ("admin_audit", false),
    ("admin_capacity", false),
    ("admin_operations", false),
    ("admin_resume_user", true),
    ("admin_set_role", true),
    ("admin_suspend_user", true),
    ("admin_tenants", false),
    ("admin_users", false),
    ("api_keys_create", true),
    ("api_keys_list", false),
    ("api_keys_revoke", true),
    ("auth_change_password", true),
    ("auth_get_session", false),
    ("auth_list_sessions", false),
    ("auth_request_password_reset", true),
    ("auth_resend_verification", true),
    ("auth_reset_password", true),
    ("auth_revoke_other_sessions", true),
    ("auth_revoke_session", true),
    ("auth_sign_in", true),
    ("auth_sign_out", true),
    ("auth_sign_up", true),
    ("auth_update_profile", true),
    ("auth_verify_email", true),
    ("health", false),
    ("operations_events", false),
    ("tenants_create", true),
    ("tenants_destroy", true),
    ("tenants_get", false),
    ("tenants_get_logs", false),
    ("tenants_list", false),
    ("tenants_logs", false),
    ("tenants_open_gate", true),
    ("tenants_restart", true),
    ("tenants_start", true),
    ("tenants_stop", true),
    ("tenants_update", true),
    ("wizard_check_subdomain", false),
    ("wizard_create_session", true),
    ("wizard_deploy_tenant", true),
    ("wizard_get_deployment_status", false),
    ("wizard_get_session", false),
    ("wizard_resend_code", true),
    ("wizard_update_session", true),
    ("wizard_verify_email", true),
];

/// Whether this call is written into the audit log.
pub(super) fn is_audited(call: &str) -> bool {
    CALLS.iter().find(|(name, _)| *name == call).is_none_or(|(_, audited)| *audited)
}
