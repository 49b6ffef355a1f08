//! Revocation (RFC 7009): the refresh token first, since with it a provider ends the whole grant.

use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::token_answer::{self, Reading};
use super::url::SafeUrl;
use super::{Fault, Place, Provider};
use crate::domain::Tokens;

/// What became of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// The tokens are worth nothing any more.
    Done,
    /// The provider has no revocation: the access token lives on until it expires.
    Unsupported,
    /// It did not work this time. Repeating it does no harm.
    TryAgain(Fault),
    /// The provider will not do it.
    Refused(Fault),
}

impl Provider {
    /// Has the provider revoke `tokens`.
    ///
    /// # Cancel safety
    /// Safe: a revocation can be repeated.
    pub async fn revoke(&self, tokens: &Tokens, now: UnixSeconds) -> RevokeOutcome {
        let outcome = self.end_grant(tokens, now).await;
        match &outcome {
            RevokeOutcome::Done => self.record.succeeded(now),
            RevokeOutcome::Unsupported => {}
            RevokeOutcome::TryAgain(fault) | RevokeOutcome::Refused(fault) => self.record.failed(now, fault),
        }
        outcome
    }

    /// The same for tokens that nobody will ever use. What the provider says to that changes nothing.
    pub async fn discard(&self, tokens: &Tokens, now: UnixSeconds) {
        // The user's other sessions have done nothing to be ended with these.
        if !self.settings().kind.sign_out_ends_user() {
            let _ = self.revoke(tokens, now).await;
        }
    }

    pub(super) async fn revoke_grant(&self, tokens: &Tokens, now: UnixSeconds) -> RevokeOutcome {
        let metadata = match self.metadata(now).await {
            Ok(metadata) => metadata,
            Err(fault) => return RevokeOutcome::TryAgain(fault),
        };
        let Some(url) = &metadata.revocation else { return RevokeOutcome::Unsupported };
        let grant = match &tokens.refresh {
            Some(refresh) => Some(self.revoke_one(url, tokens, refresh, "refresh_token", now).await),
            None => None,
        };
        if let Some(again @ RevokeOutcome::TryAgain(_)) = grant {
            return again;
        }
        let access = if tokens.access.expires_at > now {
            self.revoke_one(url, tokens, &tokens.access.token, "access_token", now).await
        } else {
            RevokeOutcome::Done
        };
        match (grant, access) {
            // Access tokens that nobody looks up cannot be revoked one by one; the grant is gone all the same.
            (Some(RevokeOutcome::Done), RevokeOutcome::Unsupported) => RevokeOutcome::Done,
            (None | Some(RevokeOutcome::Done), access) => access,
            (Some(grant), RevokeOutcome::Done | RevokeOutcome::Unsupported) => grant,
            (Some(_), access) => access,
        }
    }

    /// One of `tokens`.
    async fn revoke_one(
        &self,
        url: &SafeUrl,
        tokens: &Tokens,
        token: &Secret,
        hint: &str,
        now: UnixSeconds,
    ) -> RevokeOutcome {
        let fields = [("token", token.expose()), ("token_type_hint", hint)];
        let answer = match self.post(Place::Revocation, url, &fields, &self.secrets.with(tokens.secrets()), now).await {
            Ok(answer) => answer,
            Err(unanswered) => return RevokeOutcome::TryAgain(unanswered.into()),
        };
        match answer.status.as_u16() {
            200..=299 => return RevokeOutcome::Done,
            // RFC 7009 section 2.2.1: 503 means that the token still lives.
            408 | 429 | 500..=599 => return RevokeOutcome::TryAgain(answer.bad_status()),
            _ => {}
        }
        match token_answer::read(&answer) {
            Ok(Reading::Said { error, description, .. }) => {
                let fault = |error| Fault::Said { place: Place::Revocation, error, description };
                match error.as_str() {
                    "unsupported_token_type" => RevokeOutcome::Unsupported,
                    // Against section 2.2, some providers complain of tokens that are dead already.
                    "invalid_token" | "invalid_grant" => RevokeOutcome::Done,
                    // An administrator can mend these, and the token lives until then.
                    "invalid_client"
                    | "unauthorized_client"
                    | "temporarily_unavailable"
                    | "slow_down"
                    | "server_error" => RevokeOutcome::TryAgain(fault(error)),
                    _ => RevokeOutcome::Refused(fault(error)),
                }
            }
            Err(fault @ Fault::Unread { .. }) => RevokeOutcome::TryAgain(fault),
            // A page of something in front of the provider, or an error without a word: it may let us through later.
            Err(fault) if matches!(answer.status.as_u16(), 401 | 403) => RevokeOutcome::TryAgain(fault),
            Ok(Reading::Granted(_)) | Err(_) => RevokeOutcome::Refused(answer.bad_status()),
        }
    }
}

#[cfg(test)]
mod tests;
