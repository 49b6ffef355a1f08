//! Settings, flows and sessions as the tests need them.

use std::time::Duration;

use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::request::{DeviceBegin, LoginBegin};
use tokenkeeper_protocol::{Secret, SessionRef};

use super::NOW;
use crate::config::settings::{ClientAuthentication, Courtesy, Endpoints, ProviderKind, ProviderSettings, RedirectUri};
use crate::domain::{AccessToken, Flow, Owner, Session, State, Tokens};
use crate::provider::{Answer, Callback, Provider};

/// A confidential client of the OpenID provider at `issuer`.
pub(crate) fn oidc_settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        name: "corp".parse().expect("a name"),
        kind: ProviderKind::Oidc { issuer: issuer.to_owned(), revocation: None, device: None },
        client_id: "shop".to_owned(),
        client_secret: Some(Secret::from("s3cr3t")),
        client_authentication: ClientAuthentication::Basic,
        redirect_uris: vec![RedirectUri::Exact("https://shop.example/cb".to_owned())],
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        resource: Vec::new(),
        authorization_parameters: Vec::new(),
        refused: Vec::new(),
        refused_status: Vec::new(),
        user_name_claim: "preferred_username".to_owned(),
        max_age: Duration::from_secs(30 * 86_400),
        refresh_at_percent: 70,
        refresh: None,
        rotates: None,
        reuse_grace: Duration::ZERO,
        refresh_token_idle: None,
        default_life: Duration::from_secs(900),
        ca_file: None,
        proxy: None,
        timeout: Duration::from_secs(20),
        courtesy: Courtesy { concurrency: 8, per_minute: None },
    }
}

/// The same at a provider without discovery.
pub(crate) fn oauth2_settings(base: &str) -> ProviderSettings {
    let endpoints = Endpoints {
        authorization: format!("{base}/auth"),
        token: format!("{base}/token"),
        userinfo: format!("{base}/userinfo"),
        subject_claim: "id".to_owned(),
        revocation: Some(format!("{base}/revoke")),
        device: Some(format!("{base}/device")),
        issuer: base.to_owned(),
    };
    let scopes = vec!["profile".to_owned()];
    ProviderSettings { kind: ProviderKind::Oauth2(endpoints), scopes, ..oidc_settings(base) }
}

/// The begin of a login.
pub(crate) fn login_begin(redirect_uri: &str) -> LoginBegin {
    LoginBegin {
        provider: "corp".parse().expect("a name"),
        redirect_uri: redirect_uri.to_owned(),
        scopes: Vec::new(),
        login_hint: None,
        device: None,
        acr_values: Vec::new(),
        replaces: None,
    }
}

/// A flow of a service.
pub(crate) fn begin(provider: &Provider) -> Flow {
    Flow::begin(provider.settings(), &login_begin("https://shop.example/cb"), NOW).expect("a flow")
}

/// The begin of a login with a code.
pub(crate) fn device_begin() -> DeviceBegin {
    DeviceBegin {
        provider: "corp".parse().expect("a name"),
        scopes: Vec::new(),
        device: None,
        acr_values: Vec::new(),
        replaces: None,
    }
}

/// The callback with a code that completes `flow`.
pub(crate) fn callback(flow: &Flow) -> Callback {
    Callback { state: Some(flow.state.clone()), answer: Answer::Code(Secret::from("c0de-0123456789")), iss: None }
}

/// A session of user `u-1` of `issuer`, with a token that had a life of 300 seconds.
pub(crate) fn session(issuer: &str) -> Session {
    Session {
        id: SessionRef::from_random([7; 5]),
        provider: "corp".parse().expect("a name"),
        user: UserInfo {
            name: "alice".parse().expect("a name"),
            subject: "u-1".to_owned(),
            issuer: issuer.to_owned(),
            email: None,
        },
        device: None,
        opened_by: Owner::Uid(1000),
        opened_at: NOW,
        ends_at: NOW + Duration::from_secs(30 * 86_400),
        last_used_at: NOW,
        authentication: Authentication { acr: None, amr: Vec::new(), auth_time: Some(NOW) },
        state: State::Active,
        tokens: Some(Tokens {
            access: AccessToken {
                token: Secret::from("at-old-0123456789"),
                token_type: "Bearer".to_owned(),
                scope: "openid profile".to_owned(),
                obtained_at: NOW,
                expires_at: NOW + Duration::from_secs(300),
            },
            refresh: Some(Secret::from("rt-old-0123456789")),
            id: None,
            refresh_life: None,
        }),
        generation: 1,
        refreshes: 0,
        trouble: None,
        due_at: None,
        prune_at: NOW + Duration::from_hours(30 * 24),
        scopes: Vec::new(),
        told: 0,
        era: 0,
        resource: Vec::new(),
    }
}
