//! Why a session was lost, in words for people and in one word for those who count.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the user must log in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginReason {
    /// The provider refused the refresh token.
    Refused(Refusal),
    /// The session reached its greatest age.
    SessionTooOld,
    /// The access token expired, and the provider gave no refresh token.
    NoRefreshToken,
    /// The refresh token was sent, no answer came that could be used, and the provider does not accept it again.
    AnswerLost(Refusal),
    /// The user logged out of another session, at a provider that ends all of them then.
    SignedOut,
    /// The store was put back from an older copy, and the provider does not take the refresh token in it any more.
    RolledBack(Refusal),
    /// Each refresh brings what cannot be used for this session: that of another login.
    Unusable(Refusal),
}

/// What the provider said when it refused a refresh token, or what it gave that cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `error` of RFC 6749 section 5.2, or what is wrong with what it gave, in words.
    pub error: String,
    /// `error_description`.
    pub description: Option<String>,
    /// What the provider's own log calls this answer, and under which name it told that.
    pub correlation: Option<String>,
    /// Which try it was since the last refresh that succeeded.
    pub tries: u32,
}

/// [`LoginReason`] in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// The provider refused the refresh token.
    Refused,
    /// The session reached its greatest age.
    TooOld,
    /// There was no refresh token.
    NoRefreshToken,
    /// An answer was lost or could not be used, and with it the refresh token.
    AnswerLost,
    /// The user logged out elsewhere.
    SignedOut,
    /// The store was put back from an older copy.
    RolledBack,
}

impl Loss {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::TooOld, Self::NoRefreshToken, Self::AnswerLost, Self::SignedOut, Self::RolledBack];

    /// Its name in the audit trail and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooOld => "too_old",
            Self::NoRefreshToken => "no_refresh_token",
            Self::AnswerLost => "answer_lost",
            Self::SignedOut => "signed_out",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl From<&LoginReason> for Loss {
    fn from(reason: &LoginReason) -> Self {
        match reason {
            LoginReason::Refused(_) => Self::Refused,
            LoginReason::SessionTooOld => Self::TooOld,
            LoginReason::NoRefreshToken => Self::NoRefreshToken,
            LoginReason::AnswerLost(_) | LoginReason::Unusable(_) => Self::AnswerLost,
            LoginReason::SignedOut => Self::SignedOut,
            LoginReason::RolledBack(_) => Self::RolledBack,
        }
    }
}

impl LoginReason {
    /// Whether the provider said it in answer to a refresh, and the session let go of its tokens.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::AnswerLost(_) | Self::RolledBack(_) | Self::Unusable(_))
    }
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the provider refused the refresh: {refusal}"),
            Self::SessionTooOld => f.write_str("the session reached its greatest age"),
            Self::NoRefreshToken => f.write_str("the token expired and the provider gave no refresh token"),
            Self::SignedOut => f.write_str("the user logged out elsewhere, which ends all sessions at this provider"),
            Self::Unusable(refusal) => {
                write!(f, "the provider's answers to refreshes could not be used: {refusal}")
            }
            Self::RolledBack(refusal) => write!(
                f,
                "the store was put back from an older copy, and the provider does not accept its refresh token: {refusal}"
            ),
            Self::AnswerLost(refusal) => write!(
                f,
                "an answer of the provider was lost or could not be used, and with it the refresh token; \
                 then the provider said: {refusal}"
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        if let Some(description) = &self.description {
            write!(f, " ({description})")?;
        }
        if self.tries > 1 {
            write!(f, ", at try {}", self.tries)?;
        }
        match &self.correlation {
            Some(correlation) => write!(f, "; the provider's log has it under {correlation}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_everything_that_the_provider_told() {
        let refusal = Refusal {
            error: "invalid_grant".to_owned(),
            description: Some("the grant was revoked".to_owned()),
            correlation: Some("x-ms-request-id 7c3f".to_owned()),
            tries: 3,
        };
        assert_eq!(
            LoginReason::Refused(refusal).to_string(),
            "the provider refused the refresh: invalid_grant (the grant was revoked), at try 3; \
             the provider's log has it under x-ms-request-id 7c3f"
        );
        let refusal = Refusal { error: "invalid_grant".to_owned(), tries: 1, ..Refusal::default() };
        assert_eq!(LoginReason::Refused(refusal).to_string(), "the provider refused the refresh: invalid_grant");
    }
}
