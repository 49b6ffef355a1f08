//! The renewal of tokens (RFC 6749 section 6): one POST, and a verdict on what became of the refresh token.
//!
//! The outcome decides whether a session lives, so it is as precise as HTTP allows, and in doubt says [`RefreshOutcome::Unknown`].

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::dialect::{Spoken, Told};
use super::http::Unanswered;
use super::id_token::{Presented, Unverified, payload};
use super::metadata::{Metadata, Proof};
use super::token_answer::{Fallback, Granted, Reading};
use super::{Fault, Place, Provider};
use crate::domain::{Session, Tokens};

/// What became of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// New tokens. Those that the answer did not hold are `None`: the old ones stay.
    Renewed(Tokens),
    /// The request certainly did not leave this machine: it can be repeated at will.
    NotSent(Fault),
    /// The provider asks to try later. The refresh token is as good as it was.
    Transient {
        /// What it said.
        fault: Fault,
        /// How long to wait, if it said so; at most a day.
        retry_after: Option<Duration>,
    },
    /// The refresh token is no good: the user must log in again.
    Refused {
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
        /// What the provider's own log calls the answer.
        correlation: Option<String>,
    },
    /// The provider does not accept us, or its answer is not one that any user can mend: an administrator must act. The
    /// session is not lost.
    Misconfigured(Fault),
    /// The refresh token was sent, and there is no answer that can be used: it may be spent.
    Unknown(Fault),
}

/// What has to be known before a refresh token is sent: where to, and that this is where it came from.
#[derive(Debug)]
pub struct Ready(Arc<Metadata>);

impl Provider {
    /// Fetches what a refresh of `session` needs, so that nothing but the POST is left to be done. Spends nothing.
    ///
    /// # Errors
    /// What became of the refresh instead: nothing was sent.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn prepare(&self, session: &Session, now: UnixSeconds) -> Result<Ready, RefreshOutcome> {
        let ready = self.try_prepare(session, now).await;
        if let Err(outcome) = &ready {
            self.remember(outcome, now);
        }
        ready
    }

    /// Spends the refresh token of `session`: one POST, at once.
    ///
    /// # Cancel safety
    /// Not safe: once polled, the refresh token may be spent, and the new one is lost with the future.
    pub async fn refresh(&self, ready: &Ready, session: &Session, now: UnixSeconds) -> RefreshOutcome {
        let outcome = self.try_refresh(&ready.0, session, now).await;
        self.remember(&outcome, now);
        outcome
    }

    /// What an outcome says about how the provider is doing.
    pub(super) fn remember(&self, outcome: &RefreshOutcome, now: UnixSeconds) {
        match outcome {
            RefreshOutcome::Renewed(_) | RefreshOutcome::Refused { .. } => self.record.succeeded(now),
            RefreshOutcome::NotSent(Fault::NoRefreshToken) => {}
            RefreshOutcome::NotSent(fault)
            | RefreshOutcome::Transient { fault, .. }
            | RefreshOutcome::Misconfigured(fault)
            | RefreshOutcome::Unknown(fault) => self.record.failed(now, fault),
        }
    }

    async fn try_prepare(&self, session: &Session, now: UnixSeconds) -> Result<Ready, RefreshOutcome> {
        let metadata = self.metadata(now).await.map_err(RefreshOutcome::NotSent)?;
        if metadata.issuer != session.user.issuer {
            let (opened_at, configured) = (session.user.issuer.clone(), metadata.issuer.clone());
            return Err(RefreshOutcome::Misconfigured(Fault::AnotherIssuer { opened_at, configured }));
        }
        if let Some(Proof::Published(url)) = &metadata.proof {
            // Fetched now if they must be: between the answer and its being kept, nothing should take time. Whether they can
            // be had decides nothing here.
            drop(self.keys(url, now).await);
        }
        Ok(Ready(metadata))
    }

    async fn try_refresh(&self, metadata: &Metadata, session: &Session, now: UnixSeconds) -> RefreshOutcome {
        let Some((tokens, refresh)) = session.tokens.as_ref().and_then(|it| Some((it, it.refresh.as_ref()?))) else {
            return RefreshOutcome::NotSent(Fault::NoRefreshToken);
        };
        match self.send_refresh_token(metadata, session, tokens, refresh, now).await {
            Err(Unanswered::NotSent(fault)) => RefreshOutcome::NotSent(fault),
            Err(Unanswered::Lost(fault)) => RefreshOutcome::Unknown(fault),
            Ok(spoken) => match judge(spoken) {
                Verdict::Settled(outcome) => outcome,
                Verdict::Granted(granted) => self.renewed(metadata, session, tokens, granted, now).await,
            },
        }
    }

    async fn renewed(
        &self,
        metadata: &Metadata,
        session: &Session,
        before: &Tokens,
        mut granted: Granted,
        now: UnixSeconds,
    ) -> RefreshOutcome {
        granted.id = match granted.id.take().filter(|_| metadata.proof.is_some()) {
            None => None,
            Some(token) => match self.check_id_token(metadata, session, before, (&token, &granted), now).await {
                Ok(()) => Some(token),
                // Whose tokens came with it is not known: they must not be anybody's.
                Err(Unfit::AnotherLogin(whose)) => return RefreshOutcome::Unknown(Fault::AnotherLogin(whose)),
                Err(Unfit::Unverified(Unverified::Foreign(words))) => {
                    return RefreshOutcome::Unknown(Fault::IdToken(words));
                }
                // The others came over TLS from where the refresh token went, and an ID token need not come along at all. To
                // throw them away for one that proves nothing could end the session (docs/decisions/0029).
                Err(Unfit::Unverified(Unverified::Unproven(why))) => self.dropped(session, &why, now),
                Err(Unfit::Unverified(Unverified::NoKeys(fault))) => self.dropped(session, &fault.to_string(), now),
            },
        };
        let fallback = Fallback { scope: &before.access.scope, life: self.life_before(before) };
        RefreshOutcome::Renewed(granted.into_tokens(fallback, now))
    }

    /// OpenID Connect Core 12.2: an ID token that comes along in `granted` must be of the same login.
    /// It need not have its `nonce`, but must have no other.
    async fn check_id_token(
        &self,
        metadata: &Metadata,
        session: &Session,
        before: &Tokens,
        (token, granted): (&Secret, &Granted),
        now: UnixSeconds,
    ) -> Result<(), Unfit> {
        // Whose it says that it is counts even where nothing proves it.
        let subject = session.user.subject.as_str();
        if payload(token).is_some_and(|claims| claims.get("sub").is_some_and(|sub| *sub != subject)) {
            return Err(Unfit::AnotherLogin(ANOTHER_USER));
        }
        let presented = Presented { token, access: &granted.access, nonce: None, secrets: &granted.secrets };
        let claims = self.verify(metadata, presented, now).await.map_err(Unfit::Unverified)?;
        if claims.subject != subject {
            return Err(Unfit::AnotherLogin(ANOTHER_USER));
        }
        if let Some(first) = session.authentication.auth_time
            && claims.authentication.auth_time.is_some_and(|claimed| claimed != first)
        {
            return Err(Unfit::AnotherLogin("another login (auth_time)"));
        }
        let first = before.id.as_ref().and_then(|id| payload(id)?.remove("nonce"));
        if let (Some(first), Some(claimed)) = (first, claims.all.get("nonce"))
            && first != *claimed
        {
            let words = "it has another nonce than the one before it".to_owned();
            return Err(Unfit::Unverified(Unverified::Unproven(words)));
        }
        Ok(())
    }

    /// Tells that an ID token is not kept: once an hour, since it may be so each time.
    fn dropped(&self, session: &Session, why: &str, now: UnixSeconds) -> Option<Secret> {
        let mut told = self.told_of_dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at > now || now.since(at) >= Duration::from_hours(1)) {
            *told = Some(now);
            let provider = &self.settings().name;
            tracing::warn!(%provider, session = %session.id, "the ID token of a refresh is not kept: {why}");
        }
        None
    }

    /// The life of the last access token; the configured one if it had none to speak of.
    fn life_before(&self, before: &Tokens) -> Duration {
        let life = before.access.life();
        if life.is_zero() { self.settings().default_life } else { life }
    }
}

/// Why the ID token of a refresh is not kept.
enum Unfit {
    /// It is of this, and not of the session's login.
    AnotherLogin(&'static str),
    Unverified(Unverified),
}

const ANOTHER_USER: &str = "another user";

/// What an answer means.
pub(super) enum Verdict {
    Granted(Granted),
    Settled(RefreshOutcome),
}

pub(super) fn judge(spoken: Spoken) -> Verdict {
    let Spoken { answer, reading, told } = spoken;
    let said = |error, description| Fault::Said { place: Place::Token, error, description };
    let later = |fault| RefreshOutcome::Transient { fault, retry_after: answer.retry_after };
    let fault = |reading| match reading {
        Ok(Reading::Said { error, description, .. }) => said(error, description),
        _ => answer.bad_status(),
    };
    match (told, &reading) {
        (Some(Told::Refused), Ok(Reading::Said { error, description, correlation })) => {
            let (error, description, correlation) = (error.clone(), description.clone(), correlation.clone());
            return Verdict::Settled(RefreshOutcome::Refused { error, description, correlation });
        }
        (Some(Told::Refused), _) => {
            let error = format!("HTTP {}", answer.status.as_u16());
            return Verdict::Settled(RefreshOutcome::Refused {
                error,
                description: None,
                correlation: answer.correlation(),
            });
        }
        (Some(Told::Later), _) => return Verdict::Settled(later(fault(reading))),
        (None, _) => {}
    }
    Verdict::Settled(match (answer.status.as_u16(), reading) {
        (_, Ok(Reading::Granted(granted))) => return Verdict::Granted(granted),
        // A gateway speaks, not the provider: it passed the request on, and the provider may have spent the token before the
        // answer was lost between them. (520 and 524 are Cloudflare's names for the same.)
        (502 | 504 | 520 | 524, reading) => RefreshOutcome::Unknown(fault(reading)),
        (408 | 429 | 500..=599, reading) => later(fault(reading)),
        (_, Ok(Reading::Said { error, description, correlation })) => match error.as_str() {
            refusal if is_refusal(refusal) => RefreshOutcome::Refused { error, description, correlation },
            "temporarily_unavailable" | "slow_down" | "server_error" => later(said(error, description)),
            "invalid_client"
            | "incorrect_client_credentials"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope" => RefreshOutcome::Misconfigured(said(error, description)),
            // An error that is not known ends no session.
            _ => RefreshOutcome::Misconfigured(Fault::Unfamiliar { error, description }),
        },
        (200..=299, Err(fault)) => RefreshOutcome::Unknown(fault),
        (300..=399, Err(fault)) => RefreshOutcome::Misconfigured(fault),
        (400, Err(Fault::Status { .. })) => later(Fault::Unexplained),
        (_, Err(fault)) => later(fault),
    })
}

/// Beside the error of the standard: those by which Entra ID and GitHub ask for a new login.
pub(super) fn is_refusal(error: &str) -> bool {
    matches!(
        error,
        "invalid_grant" | "interaction_required" | "login_required" | "consent_required" | "bad_refresh_token"
    )
}

#[cfg(test)]
mod tests;
