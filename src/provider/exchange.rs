//! The exchange of a code for tokens (RFC 6749 section 4.1.3), and the proof of who came.

use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{Secret, UnixSeconds, UserName};

use super::fault::said;
use super::id_token::{Presented, Unverified};
use super::metadata::Metadata;
use super::secrets::Secrets;
use super::token_answer::{Fallback, Granted, Reading};
use super::{Answer, Callback, Fault, Place, Provider};
use crate::domain::{Flow, Tokens};

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What the provider gave.
    pub tokens: Tokens,
    /// Who came.
    pub user: UserInfo,
    /// How they were authenticated.
    pub authentication: Authentication,
}

/// A login that did not succeed. The code is spent: another try begins with a new flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// The callback belongs to another flow.
    #[error("the browser came back to another login than this one (state)")]
    WrongState,
    /// The callback is from another provider than the browser was sent to (RFC 9207).
    #[error("the callback is {} (iss), but the login began at {expected}; it may be an attack, or the configured issuer is wrong", from(found.as_deref()))]
    WrongIssuer {
        /// Where the login began.
        expected: String,
        /// Where the callback claims to be from, if it does.
        found: Option<String>,
    },
    /// The provider, or the user there, said no.
    #[error("the provider refused the login: {}", said(error, description.as_deref()))]
    ProviderSaid {
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// The user said no (RFC 8628 section 3.5).
    #[error("whoever typed the code at the provider said no: {0}")]
    DeviceDenied(String),
    /// The provider has another issuer than when the login began: the code is not for this one to see.
    #[error("the login began at {begun_at}, but {configured} is configured now; its code is not sent there")]
    AnotherIssuer {
        /// Where it began.
        begun_at: String,
        /// What the configuration names now.
        configured: String,
    },
    /// Nobody typed the code in time.
    #[error("nobody logged in with the code before it expired")]
    DeviceExpired,
    /// The provider does not accept us: an administrator must act.
    #[error("the provider does not accept this client: {0}; ask an administrator to check its registration")]
    Configuration(String),
    /// The ID token is not what it should be.
    #[error("{0}")]
    IdToken(String),
    /// There is no ID token.
    #[error("the provider gave no ID token; if it speaks no OpenID Connect, configure it as kind = \"oauth2\"")]
    NoIdToken,
    /// The provider does not say who came.
    #[error("the provider does not say who logged in; check subject_claim")]
    NoSubject,
    /// The provider calls the user as only service accounts are called here.
    #[error(
        "the provider calls the user {:?}, and names that begin with '@' are for service accounts; check user_name_claim",
        _0.as_str()
    )]
    NameOfAccount(UserName),
    /// A token that is too large to be kept.
    #[error("{which} of {bytes} bytes is too large; {limit} are accepted; ask for fewer scopes or claims")]
    TooLarge {
        /// Which.
        which: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The provider could not be asked, or its answer is of no use.
    #[error(transparent)]
    Fault(Fault),
    /// The code was spent, and then the provider could not be asked who came.
    #[error("it could not be found out who logged in: {0}")]
    Unidentified(Fault),
}

impl From<Fault> for LoginFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TokenTooLarge { which, bytes, limit } => Self::TooLarge { which, bytes, limit },
            other => Self::Fault(other),
        }
    }
}

fn from(issuer: Option<&str>) -> String {
    issuer.map_or_else(|| "from nobody in particular".to_owned(), |issuer| format!("from {issuer}"))
}

impl Provider {
    /// Completes `flow` with what the browser brought back: at most one POST.
    ///
    /// # Cancel safety
    /// Not safe: once polled, the code may be spent, and the tokens for it are lost with the future.
    pub async fn exchange(&self, flow: &Flow, callback: &Callback, now: UnixSeconds) -> Result<Grant, LoginFault> {
        let outcome = self.try_exchange(flow, callback, now).await;
        match &outcome {
            Ok(_) => self.record.succeeded(now),
            Err(LoginFault::Fault(fault) | LoginFault::Unidentified(fault)) => self.record.failed(now, fault),
            // What one callback or one user did says nothing about the provider.
            Err(_) => {}
        }
        outcome
    }

    async fn try_exchange(&self, flow: &Flow, callback: &Callback, now: UnixSeconds) -> Result<Grant, LoginFault> {
        if !callback.fits(&flow.state) {
            return Err(LoginFault::WrongState);
        }
        let metadata = self.metadata(now).await?;
        let secrets = self.secrets.with(flow.secrets());
        check_issuer(&metadata, callback.iss.as_deref(), &secrets)?;
        let code = match &callback.answer {
            Answer::Code(code) => code,
            Answer::Error { error, description } => {
                let description = description.as_deref().map(|it| secrets.show(it));
                return Err(refusal(&flow.scopes, secrets.show(error), description));
            }
        };
        let granted = self.spend_code(&metadata, flow, code, now).await?;
        self.take(&metadata, granted, &flow.scopes, self.nonce_of(flow), now).await
    }

    /// Tokens that were just given, with the proof of who came. Without one they are revoked.
    pub(super) async fn take(
        &self,
        metadata: &Metadata,
        granted: Granted,
        scopes: &[String],
        nonce: Option<&Secret>,
        now: UnixSeconds,
    ) -> Result<Grant, LoginFault> {
        let identified = self.identify(metadata, nonce, &granted, now).await;
        let fallback = Fallback { scope: &scopes.join(" "), life: self.settings().default_life };
        let tokens = granted.into_tokens(fallback, now);
        match identified {
            Ok((user, authentication)) => Ok(Grant { tokens, user, authentication }),
            Err(fault) => {
                // Nobody will ever use these tokens. What the provider says to that changes nothing here.
                self.discard(&tokens, now).await;
                Err(match fault {
                    LoginFault::Fault(fault) => LoginFault::Unidentified(fault),
                    other => other,
                })
            }
        }
    }

    async fn spend_code(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &Secret,
        now: UnixSeconds,
    ) -> Result<Granted, LoginFault> {
        let spoken = self.send_code(metadata, flow, code, now).await.map_err(Fault::from)?;
        match spoken.reading? {
            Reading::Granted(granted) => Ok(granted),
            // How long to wait says more than why.
            Reading::Said { .. } if spoken.answer.is_busy() => Err(spoken.answer.bad_status().into()),
            // RFC 6749 section 4.1.2.1, and what is seen of providers that have too much to do: the same login may succeed later.
            Reading::Said { error, description, .. }
                if matches!(error.as_str(), "temporarily_unavailable" | "server_error" | "slow_down") =>
            {
                Err(Fault::Said { place: Place::Token, error, description }.into())
            }
            Reading::Said { error, description, .. } => Err(refusal(&flow.scopes, error, description)),
        }
    }

    async fn identify(
        &self,
        metadata: &Metadata,
        nonce: Option<&Secret>,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<(UserInfo, Authentication), LoginFault> {
        if metadata.proof.is_none() {
            let user = self.user_of_token(metadata, granted, now).await?;
            return Ok((user, Authentication::default()));
        }
        let token = granted.id.as_ref().ok_or(LoginFault::NoIdToken)?;
        let presented = Presented { token, access: &granted.access, nonce, secrets: &granted.secrets };
        let claims = self.verify(metadata, presented, now).await.map_err(|unverified| match unverified {
            Unverified::Foreign(words) | Unverified::Unproven(words) => LoginFault::IdToken(words),
            Unverified::NoKeys(fault) => LoginFault::Fault(fault),
        })?;
        let user = self.user_of_claims(metadata, &claims.all, claims.subject, granted, now).await?;
        Ok((user, claims.authentication))
    }
}

/// Whose turn it is after an OAuth error, be it of the token endpoint or in the callback.
pub(super) fn refusal(scopes: &[String], error: String, description: Option<String>) -> LoginFault {
    let said = || said(&error, description.as_deref());
    match error.as_str() {
        // Providers seldom say which scope it is that they do not know.
        "invalid_scope" => LoginFault::Configuration(format!("{}; asked for were {:?}", said(), scopes.join(" "))),
        // RFC 6749 sections 4.1.2.1 and 5.2: these are about our registration, and no user can mend them.
        "invalid_request"
        | "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "unsupported_response_type" => LoginFault::Configuration(said()),
        _ => LoginFault::ProviderSaid { error, description },
    }
}

/// RFC 9207 section 2.4: compared to the letter where it is there, and required where the provider says it sends it.
fn check_issuer(metadata: &Metadata, found: Option<&str>, secrets: &Secrets) -> Result<(), LoginFault> {
    let fits = match found {
        Some(found) => found == metadata.issuer,
        None => !metadata.callback_has_issuer,
    };
    let found = found.map(|found| secrets.show(found));
    if fits { Ok(()) } else { Err(LoginFault::WrongIssuer { expected: metadata.issuer.clone(), found }) }
}

#[cfg(test)]
mod tests;
