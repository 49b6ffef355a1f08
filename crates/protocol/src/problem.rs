//! Why a request failed, named for what its peer should do next.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::SessionRef;
use crate::time::UnixSeconds;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What to do next.
    pub code: Code,
    /// One or two sentences for a person: what is wrong, and the next step. Never holds a secret.
    pub message: String,
    /// Milliseconds to wait before another try can succeed, with [`Code::TryLater`].
    pub retry_after_ms: Option<u32>,
    /// The session it is about, when the peer may know of it; with [`Code::LoginRequired`], what to pass as `replaces`.
    pub session: Option<SessionRef>,
    /// Since when it has been so, with [`Code::LoginRequired`].
    pub since: Option<UnixSeconds>,
    /// Finds the matching audit record, such as `r-5f2c9`.
    pub audit_reference: Option<String>,
}

impl Problem {
    /// A problem with nothing but a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, session: None, since: None, audit_reference: None }
    }

    /// Why the user must log in again, in words; with [`Code::LoginRequired`] only.
    pub fn login_reason(&self) -> Option<&str> {
        let message = Some(self.message.as_str()).filter(|_| self.code == Code::LoginRequired)?;
        Some(self.login_parts().map_or(message, |(_, reason)| reason))
    }

    /// Where; with [`Code::LoginRequired`] only.
    pub fn login_provider(&self) -> Option<&str> {
        self.login_parts().map(|(provider, _)| provider)
    }

    /// Provider and reason, from `login required at PROVIDER: REASON`.
    fn login_parts(&self) -> Option<(&str, &str)> {
        let message = Some(self.message.as_str()).filter(|_| self.code == Code::LoginRequired)?;
        message.strip_prefix("login required at ")?.split_once(": ")
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal, exit $exit:literal, http $http:literal;)+) => {
        /// What the peer should do next. One code on the wire, in HTTP, in the exit status, in audit and in metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "u16", into = "u16")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
            /// A code of a newer daemon: treat it as a failure that only a person can mend.
            Unknown(u16),
        }

        impl Code {
            /// Every code that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name, as in JSON and audit records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Unknown(_) => "unknown",
                }
            }

            /// The exit status of a command that failed so: from sysexits where one fits.
            pub fn exit_status(self) -> u8 {
                match self {
                    $(Self::$name => $exit,)+
                    Self::Unknown(_) => 70,
                }
            }

            /// The status of an HTTP response that says so. Not 401 for [`Code::LoginRequired`]: that would ask the peer for
            /// credentials of its own, and some HTTP clients then ask their user for a password.
            pub fn http_status(self) -> u16 {
                match self {
                    $(Self::$name => $http,)+
                    Self::Unknown(_) => 500,
                }
            }
        }

        impl From<u16> for Code {
            fn from(number: u16) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<Code> for u16 {
            fn from(code: Code) -> Self {
                match code {
                    $(Code::$name => $number,)+
                    Code::Unknown(other) => other,
                }
            }
        }
    };
}

codes! {
    /// The user must log in again.
    LoginRequired = 1, "login_required", exit 3, http 409;
    /// There is no such provider, user or session among those the peer may know of.
    NotFound = 2, "not_found", exit 4, http 404;
    /// Several sessions match: name one.
    Ambiguous = 3, "ambiguous", exit 5, http 409;
    /// The login did not succeed: begin a new one.
    LoginFailed = 4, "login_failed", exit 6, http 422;
    /// Tokens of this session never live as long as was asked for: ask for less.
    LifetimeTooShort = 5, "lifetime_too_short", exit 7, http 422;
    /// A passing fault: wait, then repeat the request.
    TryLater = 6, "try_later", exit 75, http 503;
    /// No rule allows it: ask an administrator.
    Denied = 7, "denied", exit 77, http 403;
    /// The configuration is wrong: ask an administrator.
    Misconfigured = 8, "misconfigured", exit 78, http 500;
    /// The request makes no sense: fix the caller.
    BadRequest = 9, "bad_request", exit 65, http 400;
    /// The daemon is too old for this request, or the provider offers nothing of the kind.
    Unsupported = 10, "unsupported", exit 70, http 501;
    /// A fault of the daemon: report it.
    Internal = 11, "internal", exit 70, http 500;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_number_and_its_name_is_its_own() {
        let names: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(u16::from(*code), u16::try_from(index + 1).unwrap_or_default());
            assert_eq!(Code::from(u16::from(*code)), *code);
        }
    }

    #[test]
    fn a_code_of_a_newer_daemon_is_kept() {
        assert_eq!(Code::from(999), Code::Unknown(999));
        assert_eq!(u16::from(Code::Unknown(999)), 999);
    }
}
