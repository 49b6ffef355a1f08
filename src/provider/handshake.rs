//! Why there is no secure connection: what TLS found wrong, in words that tell who has to do what.
//!
//! The words of the library name its own variants and count seconds since 1970; these name dates, names and keys of the
//! configuration. Everything here was found out before any request was sent.

use std::error::Error;
use std::fmt;
use std::io;

use chrono::DateTime;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};
use tokenkeeper_protocol::UnixSeconds;

use super::secrets::Secrets;

/// What is wrong with a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Nobody that this machine trusts vouches for the certificate.
    UnknownAuthority,
    /// The certificate of an authority stands where that of a server should.
    AuthorityAsServer,
    /// The certificate is for other names.
    WrongName {
        /// Those it is for.
        names: Vec<String>,
    },
    /// The certificate is not valid any more.
    Expired {
        /// Its last day, if known.
        since: Option<String>,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// Its first day, if known.
        until: Option<String>,
    },
    /// The certificate was taken back by its authority.
    Revoked,
    /// What answers speaks something else.
    NotTls,
    /// The other end hung up half-way.
    CutOff,
    /// The other end speaks no version of TLS that we do.
    TooOld,
    /// The other end said no.
    Declined {
        /// The name of its alert.
        alert: String,
    },
    /// Anything else.
    Other {
        /// In the library's words.
        words: String,
    },
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |day: &Option<String>| day.as_ref().map_or_else(String::new, |day| format!(" on {day}"));
        match self {
            Self::UnknownAuthority => f.write_str(
                "its certificate is signed by an authority that this machine does not know, or by itself; \
                 if that is meant to be, name the authority's certificate in ca_file",
            ),
            Self::AuthorityAsServer => f.write_str(
                "its certificate is that of an authority, where that of a server should be; \
                 give the server a certificate that is signed by the authority (CA:FALSE)",
            ),
            Self::WrongName { names } if names.is_empty() => {
                f.write_str("its certificate is for another name; correct the address, or the certificate")
            }
            Self::WrongName { names } => {
                write!(f, "its certificate is for {}; correct the address, or the certificate", names.join(", "))
            }
            Self::Expired { since } => write!(
                f,
                "its certificate expired{}; it has to be renewed there, unless the clock of this machine is wrong",
                day(since)
            ),
            Self::NotYetValid { until } => write!(
                f,
                "its certificate becomes valid{}; check the clock of this machine",
                until.as_ref().map_or_else(|| " later".to_owned(), |_| day(until))
            ),
            Self::Revoked => f.write_str("its certificate was revoked; it has to be replaced there"),
            Self::NotTls => f.write_str("what answers there is not TLS; correct the port, or the https of the address"),
            Self::CutOff => f.write_str(
                "it hung up in the middle of the handshake; \
                 look for a proxy or firewall in between, and whether it wants a client certificate",
            ),
            Self::TooOld => f.write_str("it speaks no TLS 1.2 or later; the server has to be upgraded"),
            Self::Declined { alert } => write!(f, "it ended the handshake with the alert {alert}; its log may say why"),
            Self::Other { words } => write!(f, "{words}"),
        }
    }
}

impl Handshake {
    /// What went wrong, if `errors`, each the cause of the one before it, tell of a handshake. `secure` says whether there was to be one.
    pub(super) fn of<'a>(
        errors: impl Iterator<Item = &'a (dyn Error + 'static)>,
        secure: bool,
        secrets: &Secrets,
    ) -> Option<Self> {
        let mut cut_off = false;
        for error in errors {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_tls(error, secrets));
            }
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            cut_off |= matches!(
                kind,
                Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            );
        }
        (cut_off && secure).then_some(Self::CutOff)
    }

    /// Whether it stays until somebody changes something, here or there. A clock mends itself, and so does what is in between.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::UnknownAuthority | Self::AuthorityAsServer | Self::WrongName { .. } | Self::NotTls | Self::TooOld
        )
    }

    fn of_tls(error: &rustls::Error, secrets: &Secrets) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::of_certificate(why, secrets),
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(
                rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => Self::TooOld,
            rustls::Error::AlertReceived(alert) => Self::Declined { alert: format!("{alert:?}") },
            other => Self::Other { words: secrets.show(&other.to_string()) },
        }
    }

    fn of_certificate(error: &CertificateError, secrets: &Secrets) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::NotValidForName => Self::WrongName { names: Vec::new() },
            CertificateError::NotValidForNameContext { presented, .. } => Self::WrongName {
                names: presented.iter().take(NAMES_SHOWN).map(|name| secrets.show(bare(name))).collect(),
            },
            CertificateError::Expired => Self::Expired { since: None },
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired { since: day(*not_after) },
            CertificateError::NotValidYet => Self::NotYetValid { until: None },
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid { until: day(*not_before) },
            CertificateError::Revoked => Self::Revoked,
            CertificateError::Other(OtherError(other)) if is_authority(other.as_ref()) => Self::AuthorityAsServer,
            other => Self::Other { words: secrets.show(&format!("its certificate is not accepted: {other}")) },
        }
    }
}

/// Whether `errors` tell of a certificate that the wall clock is past, or not at yet, and that is good at `now`.
pub(super) fn is_of_a_certificate_that_is_good_at<'a>(
    now: UnixSeconds,
    mut errors: impl Iterator<Item = &'a (dyn Error + 'static)>,
) -> bool {
    let seconds = |time: &UnixTime| i64::try_from(time.as_secs()).map_or(UnixSeconds::NEVER, UnixSeconds);
    errors.any(|error| match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            now < seconds(not_after)
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            now >= seconds(not_before)
        }
        _ => false,
    })
}

/// Names of a certificate that are worth showing: some are for hundreds.
const NAMES_SHOWN: usize = 3;

/// The name out of `DnsName("id.example")` or `IpAddress(127.0.0.1)`, which is how the library gives it.
fn bare(presented: &str) -> &str {
    let name = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    name.trim_matches('"')
}

/// The library that judges certificates is not ours to name: its error is known by its word.
fn is_authority(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.to_string().contains("CaUsedAsEndEntity")
}

fn day(at: UnixTime) -> Option<String> {
    let at = DateTime::from_timestamp(i64::try_from(at.as_secs()).ok()?, 0)?;
    Some(at.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_that_only_the_wall_clock_is_past_or_before_is_told_from_one_that_is_over() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let is_good_at = |now, why| {
            let error = rustls::Error::InvalidCertificate(why);
            is_of_a_certificate_that_is_good_at(UnixSeconds(now), std::iter::once(&error as &(dyn Error + 'static)))
        };
        let past = || CertificateError::ExpiredContext { time: time(9000), not_after: time(2000) };
        let before = || CertificateError::NotValidYetContext { time: time(10), not_before: time(1000) };
        assert_eq!([1999, 2000].map(|now| is_good_at(now, past())), [true, false]);
        assert_eq!([999, 1000].map(|now| is_good_at(now, before())), [false, true]);
        assert!(!is_good_at(1500, CertificateError::UnknownIssuer));
    }
}
