//! How a provider is spoken to: the one place that tells standard OAuth from a dialect that the configuration describes.
//!
//! Invariant: whatever the dialect, what comes out of here has the shape of the standards: a [`Reading`] of RFC 6749 section 5,
//! claims of OpenID Connect Core 5.1. Login, refresh and logout know no dialects, and judge all answers alike.

mod custom;
mod fill;
mod pointers;
mod standard;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::answer::HttpAnswer;
use super::http::Unanswered;
use super::metadata::Metadata;
use super::token_answer::{Granted, Reading};
use super::{Callback, CallbackMalformed, Fault, Provider, RevokeOutcome, SetupError};
use crate::config::settings::{ProviderKind, ProviderSettings};
use crate::domain::{Flow, Session, Tokens};

use custom::Custom;

/// A dialect.
#[derive(Debug)]
pub(super) enum Dialect {
    /// OAuth 2.0 and OpenID Connect.
    Standard,
    /// What the configuration describes.
    Custom(Box<Custom>),
}

/// An answer of a token endpoint, and what it says.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) answer: HttpAnswer,
    pub(super) reading: Result<Reading, Fault>,
    /// What the configuration says that this answer means, if it says anything.
    pub(super) told: Option<Told>,
}

/// What the configuration says of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The token is worth nothing any more.
    Refused,
    /// The same request may succeed later.
    Later,
}

impl Dialect {
    /// The one that `settings` name.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, SetupError> {
        Ok(match &settings.kind {
            ProviderKind::Oidc { .. } | ProviderKind::Oauth2(_) => Self::Standard,
            ProviderKind::Custom(described) => Self::Custom(Box::new(Custom::new(described)?)),
        })
    }
}

impl Provider {
    /// Where the browser is sent.
    pub(super) fn login_url(&self, metadata: &Metadata, flow: &Flow) -> Secret {
        match &self.dialect {
            Dialect::Standard => flow.url(&metadata.authorization, self.settings()),
            Dialect::Custom(custom) => custom.login_url(flow, self.settings()),
        }
    }

    /// Reads what the browser brought back. A leading `?` is tolerated, and so is the whole address, as a person pastes it.
    pub fn read_callback(&self, query: &Secret) -> Result<Callback, CallbackMalformed> {
        match &self.dialect {
            Dialect::Standard => Callback::parse(query, &self.secrets),
            Dialect::Custom(custom) => custom.read_callback(query, &self.secrets),
        }
    }

    /// The nonce that an ID token of this flow must hold, where one was sent.
    pub(super) fn nonce_of<'a>(&self, flow: &'a Flow) -> Option<&'a Secret> {
        let is_sent = match &self.dialect {
            Dialect::Standard => true,
            Dialect::Custom(custom) => custom.sends_nonce(),
        };
        is_sent.then_some(&flow.nonce)
    }

    /// Sends the code of a login, once.
    pub(super) async fn send_code(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &Secret,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        match &self.dialect {
            Dialect::Standard => self.send_standard_code(metadata, flow, code, now).await,
            Dialect::Custom(custom) => custom.send_code(self, flow, code, now).await,
        }
    }

    /// Sends the refresh token of a session, once.
    pub(super) async fn send_refresh_token(
        &self,
        metadata: &Metadata,
        session: &Session,
        tokens: &Tokens,
        refresh: &Secret,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        match &self.dialect {
            Dialect::Standard => self.send_standard_refresh_token(metadata, session, tokens, refresh, now).await,
            Dialect::Custom(custom) => custom.send_refresh_token(self, session, tokens, now).await,
        }
    }

    /// Has the provider end what `tokens` stand for.
    pub(super) async fn end_grant(&self, tokens: &Tokens, now: UnixSeconds) -> RevokeOutcome {
        match &self.dialect {
            Dialect::Standard => self.revoke_grant(tokens, now).await,
            Dialect::Custom(custom) => custom.sign_out(self, tokens, now).await,
        }
    }

    /// The claims that the provider tells for the access token of `granted`.
    pub(super) async fn claims_for(
        &self,
        metadata: &Metadata,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<Map<String, Value>, Fault> {
        match &self.dialect {
            Dialect::Standard => self.userinfo(metadata, granted, now).await,
            Dialect::Custom(custom) => custom.user_info(self, granted, now).await,
        }
    }
}
