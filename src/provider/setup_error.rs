//! Why a provider cannot be set up: found out from the configuration and the disk alone.

use std::io;
use std::path::PathBuf;

/// A provider cannot be set up as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An endpoint that credentials may not be sent to.
    #[error("{key} {value:?} is no https URL; plain http is for 127.0.0.1, [::1] and localhost only")]
    Insecure {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// The certificate authority cannot be read.
    #[error("cannot read ca_file {path}: {source}; correct the path, or let the daemon's user read it")]
    CaUnreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate authority is not one.
    #[error("ca_file {path} holds no certificate in PEM form")]
    CaMalformed {
        /// Which.
        path: PathBuf,
    },
    /// The keys for ID tokens cannot be read.
    #[error("cannot read keys_file {path}: {source}; correct the path, or let the daemon's user read it")]
    KeysUnreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The keys for ID tokens are none.
    #[error("keys_file {path} holds no JSON Web Key Set")]
    KeysMalformed {
        /// Which.
        path: PathBuf,
    },
    /// The proxy is not one.
    #[error("proxy is no URL of an HTTP proxy, such as http://proxy.example:3128")]
    Proxy(#[source] reqwest::Error),
    /// The secret cannot be sent.
    #[error("client_id and client_secret cannot be sent in an HTTP header")]
    Credentials,
    /// No HTTP client.
    #[error("cannot set up the HTTP client; are the system's certificate authorities installed (ca-certificates)?")]
    Client(#[source] reqwest::Error),
}
