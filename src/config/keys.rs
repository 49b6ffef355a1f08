//! Every key of the configuration. What is not listed here is unknown; what is listed is described in the guide (a test checks).

/// The keys of one kind of table.
#[derive(Debug)]
pub(super) struct Keys {
    /// Those that can be used.
    pub(super) known: &'static [&'static str],
    /// Those that are planned: named, so that nobody looks for a typing error.
    pub(super) later: &'static [&'static str],
}

pub(super) const ROOT: Keys =
    Keys { known: &["daemon", "schedule", "audit", "provider", "service_account", "allow", "user_map"], later: &[] };

pub(super) const DAEMON: Keys = Keys {
    known: &[
        "state_dir",
        "socket",
        "http_socket",
        "metrics_listen",
        "identity_file",
        "anchor_file",
        "recovery_recipients",
        "backup_recipients",
        "cache_sessions",
    ],
    later: &[],
};

pub(super) const SCHEDULE: Keys =
    Keys { known: &["sweep", "prune", "scrub", "retention", "rotate_keys", "reseal_rate"], later: &[] };

pub(super) const AUDIT: Keys = Keys { known: &["target"], later: &[] };

pub(super) const PROVIDER: Keys = Keys {
    known: &[
        "kind",
        "issuer",
        "client_id",
        "client_secret",
        "client_authentication",
        "redirect_uris",
        "scopes",
        "resource",
        "authorization_parameters",
        "refused",
        "refused_status",
        "user_name_claim",
        "max_age",
        "refresh_at",
        "refresh",
        "rotation",
        "reuse_grace",
        "refresh_token_idle",
        "default_life",
        "ca_file",
        "proxy",
        "timeout",
        "concurrency",
        "rate",
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
        "subject_claim",
        "profile",
        "domain",
        "region",
        "user_pool_id",
        "code_link",
        "callback",
        "id_token",
        "jwks_uri",
        "keys_file",
        "exchange",
        "renew",
        "sign_out",
        "user_info",
    ],
    later: &["idle"],
};

/// Those of a provider that discovery makes superfluous.
pub(super) const OAUTH2_ONLY: &[&str] =
    &["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "subject_claim"];

/// Those of a provider whose dialect is described.
pub(super) const CUSTOM_ONLY: &[&str] = &[
    "profile",
    "domain",
    "region",
    "user_pool_id",
    "code_link",
    "callback",
    "id_token",
    "jwks_uri",
    "keys_file",
    "exchange",
    "renew",
    "sign_out",
    "user_info",
];

/// Those of the standards, for which a custom provider has tables.
pub(super) const NOT_CUSTOM: &[&str] = &[
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "authorization_parameters",
    "refused",
    "refused_status",
    "subject_claim",
];

/// What a profile may want to know before it can fill in the rest.
pub(super) const PROFILE_VARIABLES: &[&str] = &["domain", "region", "user_pool_id"];

pub(super) const CALLBACK: Keys = Keys { known: &["code", "state", "error", "error_description"], later: &[] };

pub(super) const OPERATION: Keys = Keys {
    known: &["url", "method", "body", "send", "headers", "answer", "refused", "refused_status", "later", "ends"],
    later: &[],
};

pub(super) const ANSWER: Keys = Keys {
    known: &[
        "access_token",
        "refresh_token",
        "id_token",
        "expires_in",
        "expires_in_milliseconds",
        "expires_at",
        "token_type",
        "scope",
        "subject",
        "name",
        "email",
        "error",
        "error_description",
        "correlation_id",
    ],
    later: &[],
};

pub(super) const CLIENT_SECRET: Keys = Keys { known: &["file", "credential"], later: &[] };

pub(super) const SERVICE_ACCOUNT: Keys = Keys { known: &["provider", "scopes", "resource"], later: &[] };

pub(super) const ALLOW: Keys = Keys { known: &["who", "may", "provider", "sessions", "account"], later: &[] };

/// Actions of `[[allow]]` that are planned.
pub(super) const ACTIONS_LATER: &[&str] = &["id_token", "import", "export"];

/// All of them, for the test that compares them with the guide.
#[cfg(test)]
pub(super) const ALL: &[&Keys] = &[
    &ROOT,
    &DAEMON,
    &SCHEDULE,
    &AUDIT,
    &PROVIDER,
    &CALLBACK,
    &OPERATION,
    &ANSWER,
    &CLIENT_SECRET,
    &SERVICE_ACCOUNT,
    &ALLOW,
];
