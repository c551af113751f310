//! The states that pages can be in, and what leads to them.

use super::Act::{self, Again, Click, Offline, Read, See, SignedOut, TooLate, Type, Unclaimed};
use crate::service::PASSWORD;
use crate::site::{Setup, Who};

/// A state that a page can be in.
pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) who: Who,
    pub(super) setup: Setup,
    pub(super) path: &'static str,
    pub(super) acts: &'static [&'static [Act]],
    pub(super) complains: &'static [&'static str],
}

/// A state that an address alone leads to.
const fn at(name: &'static str, who: Who, path: &'static str) -> State {
    after(name, who, path, &[])
}

/// A state that something has to be done for.
const fn after(
    name: &'static str,
    who: Who,
    path: &'static str,
    acts: &'static [&'static [Act]],
) -> State {
    State { name, who, setup: Setup::Usual, path, acts, complains: &[] }
}

impl State {
    const fn complaining(mut self, of: &'static [&'static str]) -> Self {
        self.complains = of;
        self
    }

    /// The same of a server that is set up like this.
    const fn on(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }
}

/// The states beside those that each page is in for the first who may see it.
pub(super) const STATES: &[State] = &[
    at("not-found", Who::Nobody, "/nothing/here").complaining(&["404"]),
    at("not-found-signed-in", Who::Owner, "/instances/00000000-0000-4000-8000-000000000000")
        .complaining(&["404"]),
    at("forbidden", Who::Owner, "/admin").complaining(&["403"]),
    at("home-signed-in", Who::Owner, "/"),
    at("login-session-ended", Who::Nobody, "/login?done=session_ended"),
    after(
        "login-refused",
        Who::Nobody,
        "/login",
        &[&[
            Type("#email", "ada@university.example"),
            Type("#password", "not the password"),
            SENT,
            See(".notice.error"),
        ]],
    )
    .complaining(&["status of 4"]),
    at("forgot-password-sent", Who::Nobody, "/forgot-password?done=letter"),
    at("verify-email-done", Who::Nobody, "/verify-email?done=confirmed"),
    after("signup-wrong", Who::Nobody, "/signup", &[&[ONWARD, See("#email-wrong")]]),
    after(
        "signup-refused",
        Who::Nobody,
        "/signup",
        &[&[
            Type("#email", "grace@university.example"),
            Type("#password", "short"),
            Read("Too short"),
            ONWARD,
            See("#password[aria-invalid=true]"),
        ]],
    )
    .complaining(&["status of 4"]),
    after(
        "signup-2-use",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, &[Click(".choice [value=testing]"), See("#sandbox")]],
    ),
    after(
        "signup-offline",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, &[Offline, Click(".choice [value=study]"), USED, See("#connection")]],
    )
    .complaining(&["ERR_INTERNET_DISCONNECTED"]),
    after(
        "signup-session-ended",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, &[Click(".choice [value=study]"), TooLate, USED, Read("has ended")]],
    )
    .complaining(&["status of 404"]),
    after(
        "signup-3-address",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, USE, &[Type("#subdomain", "sleep-diaries"), See("#suggestions li")]],
    ),
    after("signup-3-free", Who::Nobody, "/signup", &[ACCOUNT, USE, FREE]),
    after("signup-4-terms", Who::Nobody, "/signup", &[ACCOUNT, USE, FREE, ADDRESS]),
    after("signup-loading", Who::Nobody, "/signup", &[ACCOUNT, &[Again(SILENT), See("#loading")]]),
    after(
        "signup-loading-failed",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, &[Again(CUT), See("#over"), See("#loading")]],
    ),
    after(
        "signup-no-room",
        Who::Nobody,
        "/signup",
        &[ACCOUNT, USE, FREE, ADDRESS, ACCEPTED, &[See("#asking-again")]],
    )
    .on(Setup::Full)
    .complaining(&["status of 503"]),
    after(
        "signup-known",
        Who::Nobody,
        "/signup",
        &[
            &[
                Type("#email", "owner@university.example"),
                Type("#password", "seven blue bicycles uphill"),
                ONWARD,
                See("#use-form"),
            ],
            USE,
            FREE,
            ADDRESS,
            ACCEPTED,
            &[Read("has an account already")],
        ],
    )
    .complaining(&["status of 401"]),
    after("signup-invite", Who::Nobody, "/signup#invite={invite}", &[&[See("#invite")]])
        .on(Setup::Invites),
    after(
        "signup-invite-refused",
        Who::Nobody,
        "/signup#invite={invite}",
        &[&[
            Type("#email", "ada@university.example"),
            Type("#password", "seven blue bicycles uphill"),
            ONWARD,
            See("#invite-wrong"),
        ]],
    )
    .on(Setup::Invites)
    .complaining(&["status of 403"]),
    after("signup-code", Who::Nobody, "/signup#invite={invite}", &[CODE]).on(Setup::Invites),
    after(
        "signup-code-wrong",
        Who::Nobody,
        "/signup#invite={invite}",
        &[
            CODE,
            &[
                Type("#code", "1234"),
                Click("#code-form .onward .button:not([type=button])"),
                See("#code-wrong"),
            ],
        ],
    )
    .on(Setup::Invites)
    .complaining(&["status of 4"]),
    at("signup-closed", Who::Nobody, "/signup").on(Setup::Closed),
    at("forgot-password-by-mail", Who::Nobody, "/forgot-password").on(Setup::Invites),
    spent("reset-password-spent", "/reset-password#nobody-has-sent-this"),
    spent("verify-email-spent", "/verify-email#nobody-has-sent-this"),
    after("too-fast", Who::Nobody, "/terms", &[&[See(".code")]])
        .on(Setup::Hasty)
        .complaining(&["429"]),
    at("status-trouble", Who::Nobody, "/status").on(Setup::WithoutDocker),
    at("status-worse", Who::Nobody, "/status").on(Setup::WithoutStore),
    after("unavailable", Who::Owner, "/dashboard", &[&[See(".code")]])
        .on(Setup::WithoutStore)
        .complaining(&["503"]),
    after("signup-deploying", Who::Beginner, "/signup/{coming}", &[&[See(".steps .running")]]),
    after("dashboard-busy", Who::Beginner, "/dashboard", &[&[See(".badge.busy")]]),
    after("instance-coming", Who::Beginner, "/instances/{coming}", &[&[See(".steps .running")]]),
    after("instance-busy", Who::Beginner, "/instances/{busy}", &[&[See(".steps .running")]]),
    at("settings-unverified", Who::Owner, "/settings").on(Setup::Invites),
    after("signup-failed", Who::Owner, "/signup/{failed}", &[&[See("[data-state=failed]")]]),
    after("signup-claim", Who::Owner, "/signup/{new}", &[&[See("#deployment .claim")]]),
    after("dashboard-none", Who::Newcomer, "/dashboard", &[&[See(".empty")]]),
    after("dashboard-list", Who::Owner, "/dashboard?view=list", &[&[See(".rows")]]),
    after("dashboard-many", Who::Collector, "/dashboard", &[&[See(".pager")]]),
    after(
        "dashboard-many-list",
        Who::Collector,
        "/dashboard?view=list&page=2",
        &[&[See(".pager")]],
    ),
    after("dashboard-none-like-it", Who::Owner, "/dashboard?search=zebra", &[&[See(".empty")]]),
    after("dashboard-offline", Who::Owner, "/dashboard", &[&[Offline, See("#connection")]])
        .complaining(&["ERR_INTERNET_DISCONNECTED"]),
    after("dashboard-session-ended", Who::Owner, "/dashboard", &[&[SignedOut, See("#connection")]])
        .complaining(&["status of 401"]),
    after("instance-new", Who::Owner, "/instances/{new}", &[&[See("#claim")]]),
    at("instance-open", Who::Owner, "/instances/{new}/open"),
    at("instance-stopped", Who::Owner, "/instances/{stopped}"),
    at("instance-failed", Who::Owner, "/instances/{failed}"),
    at("instance-removed", Who::Owner, "/instances/{removed}"),
    after(
        "instance-log-live",
        Who::Owner,
        "/instances/{new}/log",
        &[&[Read("Live"), See("#log-lines div")]],
    ),
    after(
        "instance-log-paused",
        Who::Owner,
        "/instances/{new}/log",
        &[&[Read("Live"), See("#log-lines div"), Click("#log-pause"), Read("Paused")]],
    ),
    after(
        "instance-log-stopped",
        Who::Owner,
        "/instances/{stopped}/log",
        &[&[Read("The app does not run")]],
    ),
    at("instance-log-failed", Who::Owner, "/instances/{failed}/log"),
    after(
        "instance-log-removed",
        Who::Owner,
        "/instances/{removed}/log",
        &[&[Read("It was removed, and its log with it.")]],
    ),
    after(
        "instance-remove",
        Who::Owner,
        "/instances/{stopped}",
        &[&[Click("#remove"), See("#removal[open]")]],
    ),
    after(
        "instance-remove-refused",
        Who::Owner,
        "/instances/{stopped}/destroy",
        &[&[Type("#confirm", "another"), Click("main form .button.danger"), See("#confirm-wrong")]],
    )
    .complaining(&["status of 4"]),
    after(
        "instances-new-taken",
        Who::Owner,
        "/instances/new",
        &[&[Type("#subdomain", "sleep-diaries"), See("#suggestions li")]],
    ),
    after(
        "instance-change-refused",
        Who::Owner,
        "/instances/{id}/change",
        &[&[Type("#memory", "1"), SENT, See("#memory-wrong")]],
    )
    .complaining(&["status of 4"]),
    after(
        "settings-password-refused",
        Who::Owner,
        "/settings/password",
        &[&[
            Type("#current", "not the password"),
            Type("#new", "seven blue bicycles uphill"),
            SENT,
            See("#current-wrong"),
        ]],
    )
    .complaining(&["status of 4"]),
    after(
        "settings-email-refused",
        Who::Owner,
        "/settings",
        &[&[
            Type("#email", "new@university.example"),
            Type("#password", "not the password"),
            Click("form[action='/settings/email'] button:not([type=button])"),
            See("#password-wrong"),
        ]],
    )
    .on(Setup::Invites)
    .complaining(&["status of 4"]),
    // Of somebody whose profile is looked at nowhere else: the address waits from then on.
    after(
        "settings-email-pending",
        Who::Collector,
        "/settings",
        &[&[
            Type("#email", "new@university.example"),
            Type("#password", PASSWORD),
            Click("form[action='/settings/email'] button:not([type=button])"),
            Read("We wait for an answer from new@university.example"),
        ]],
    )
    .on(Setup::Invites),
    after("settings-keys-none", Who::Newcomer, "/settings/keys", &[&[See(".empty")]]),
    after(
        "settings-keys-new-refused",
        Who::Owner,
        "/settings/keys/new",
        &[&[Type("#name", "Nightly"), SENT, See("#scopes-wrong")]],
    )
    .complaining(&["status of 4"]),
    after(
        "settings-key-made",
        Who::Collector,
        "/settings/keys/new",
        &[&[Type("#name", "Nightly backup"), Click("[name=scope]"), SENT, See("#made")]],
    ),
    at("admin-without-docker", Who::Admin, "/admin").on(Setup::WithoutDocker),
    at("admin-tenants-found", Who::Admin, "/admin/tenants?search=pilot&status=stopped"),
    at("admin-tenants-of-one", Who::Admin, "/admin/tenants?owner={account}"),
    after("admin-tenants-none", Who::Admin, "/admin/tenants?search=zebra", &[&[See(".empty")]]),
    at("admin-operations-of-one", Who::Admin, "/admin/operations?tenant={failed}"),
    at("admin-users-found", Who::Admin, "/admin/users?search=dr+own"),
    after("admin-users-none", Who::Admin, "/admin/users?search=zebra", &[&[See(".empty")]]),
    at("admin-users-unverified", Who::Admin, "/admin/users").on(Setup::Invites),
    at("admin-audit-of-one", Who::Admin, "/admin/audit?tenant={stopped}"),
    after("admin-audit-none", Who::Admin, "/admin/audit?tenant={account}", &[&[See(".empty")]]),
    // The last of this instance: no time comes back.
    after(
        "instance-claim-late",
        Who::Owner,
        "/instances/{new}",
        &[&[Unclaimed, Again(""), See("#remove-locked")]],
    ),
];

/// What is seen of a letter's link that holds no more.
const fn spent(name: &'static str, path: &'static str) -> State {
    const USED: &[Act] =
        &[Type("#password", "seven blue bicycles uphill"), SENT, Read("This link is good no more")];
    after(name, Who::Nobody, path, &[USED]).complaining(&["status of 4"])
}

/// The page's form is sent.
const SENT: Act = Click("main form button:not([type=button])");
/// From the first step of signing up to the second.
const ONWARD: Act = Click("#account-form .onward .button:not([type=button])");
/// The first step.
const ACCOUNT: &[Act] = &[
    Type("#email", "grace@university.example"),
    Type("#password", "seven blue bicycles uphill"),
    ONWARD,
    See("#use-form"),
];
/// The first step, where a code is asked for.
const CODE: &[Act] = &[
    Type("#email", "grace@university.example"),
    Type("#password", "seven blue bicycles uphill"),
    ONWARD,
    See("#code-form"),
];
/// From the second step to the third.
const USED: Act = Click("#use-form .onward .button:not([type=button])");
/// The second one.
const USE: &[Act] = &[Click(".choice [value=study]"), USED, See("#address-form")];
/// The third one, with a name that can be had.
const FREE: &[Act] = &[Type("#subdomain", "friends-of-friends"), Read("is free")];
/// From the third one to the fourth.
const ADDRESS: &[Act] = &[
    Click("#address-form .onward .button:not([type=button])"),
    See("[data-document='/terms'] p"),
    See("[data-document='/privacy'] ul"),
];
/// The fourth one.
const ACCEPTED: &[Act] = &[
    Click("#termsAccepted"),
    Click("#privacyAccepted"),
    Click("#terms-form .onward .button:not([type=button])"),
];
/// Nobody is told how far the sign-up is.
const SILENT: &str = "const real = window.fetch;
    window.fetch = (url, ...rest) => url.endsWith?.('wizard.getSession') ? new Promise(() => {}) : real(url, ...rest);";
/// The same, and it is known why.
const CUT: &str = "const real = window.fetch;
    window.fetch = (url, ...rest) => url.endsWith?.('wizard.getSession') ? Promise.reject(new TypeError()) : real(url, ...rest);";
