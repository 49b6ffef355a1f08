//! Between requests or replies and the bytes of a payload: bincode 1.3, fixed-width little-endian, nothing behind the end.

use bincode::Options;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::frame::MAX_PAYLOAD;
use crate::{Reply, Request};
use crate::{reply, request};

/// Why bytes are not a message, or a message not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A type number this version does not know: answer `Unsupported`, keep the connection.
    #[error("message type {0:#06x} is not known to this version")]
    UnknownType(u16),
    /// The payload is not of the layout its type number promises.
    #[error("the payload of message type {0:#06x} is malformed")]
    Malformed(u16),
    /// The message does not fit into a frame.
    #[error("a message of type {0:#06x} does not fit into {MAX_PAYLOAD} bytes")]
    TooLarge(u16),
}

/// A payload and its type number. The bytes may hold a token, so they are wiped.
pub type Encoded = (u16, Zeroizing<Vec<u8>>);

impl Request {
    /// The request as a payload.
    pub fn encode(&self) -> Result<Encoded, CodecError> {
        use request::kind;
        match self {
            Self::Token(it) => payload(kind::TOKEN, it),
            Self::LoginBegin(it) => payload(kind::LOGIN_BEGIN, it),
            Self::LoginComplete(it) => payload(kind::LOGIN_COMPLETE, it),
            Self::Sessions(it) => payload(kind::SESSIONS, it),
            Self::Session(it) => payload(kind::SESSION, it),
            Self::Logout(it) => payload(kind::LOGOUT, it),
            Self::Status => payload(kind::STATUS, &()),
            Self::TokenFor(it) => payload(kind::TOKEN_FOR, it),
            Self::DeviceBegin(it) => payload(kind::DEVICE_BEGIN, it),
            Self::DeviceWait(it) => payload(kind::DEVICE_WAIT, it),
            Self::History(it) => payload(kind::HISTORY, it),
            Self::WhoAmI => payload(kind::WHO_AM_I, &()),
            Self::Explain(it) => payload(kind::EXPLAIN, it),
            Self::Providers => payload(kind::PROVIDERS, &()),
            Self::ProviderTest(it) => payload(kind::PROVIDER_TEST, it),
            Self::Metrics => payload(kind::METRICS, &()),
            Self::KeysShow => payload(kind::KEYS_SHOW, &()),
            Self::KeysRotate => payload(kind::KEYS_ROTATE, &()),
            Self::KeysRecover(it) => payload(kind::KEYS_RECOVER, it),
            Self::StoreStats => payload(kind::STORE_STATS, &()),
            Self::StoreVerify(it) => payload(kind::STORE_VERIFY, it),
            Self::StoreBackup => payload(kind::STORE_BACKUP, &()),
            Self::AcceptRollback => payload(kind::ACCEPT_ROLLBACK, &()),
            Self::StoreMoveOut(it) => payload(kind::STORE_MOVE_OUT, it),
            Self::Erase(it) => payload(kind::ERASE, it),
        }
    }

    /// The request that a payload holds.
    pub fn decode(kind: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        use request::kind;
        Ok(match kind {
            kind::TOKEN => Self::Token(message(kind, bytes)?),
            kind::LOGIN_BEGIN => Self::LoginBegin(message(kind, bytes)?),
            kind::LOGIN_COMPLETE => Self::LoginComplete(message(kind, bytes)?),
            kind::SESSIONS => Self::Sessions(message(kind, bytes)?),
            kind::SESSION => Self::Session(message(kind, bytes)?),
            kind::LOGOUT => Self::Logout(message(kind, bytes)?),
            kind::STATUS => nothing(kind, bytes, Self::Status)?,
            kind::TOKEN_FOR => Self::TokenFor(message(kind, bytes)?),
            kind::DEVICE_BEGIN => Self::DeviceBegin(message(kind, bytes)?),
            kind::DEVICE_WAIT => Self::DeviceWait(message(kind, bytes)?),
            kind::HISTORY => Self::History(message(kind, bytes)?),
            kind::WHO_AM_I => nothing(kind, bytes, Self::WhoAmI)?,
            kind::EXPLAIN => Self::Explain(message(kind, bytes)?),
            kind::PROVIDERS => nothing(kind, bytes, Self::Providers)?,
            kind::PROVIDER_TEST => Self::ProviderTest(message(kind, bytes)?),
            kind::METRICS => nothing(kind, bytes, Self::Metrics)?,
            kind::KEYS_SHOW => nothing(kind, bytes, Self::KeysShow)?,
            kind::KEYS_ROTATE => nothing(kind, bytes, Self::KeysRotate)?,
            kind::KEYS_RECOVER => Self::KeysRecover(message(kind, bytes)?),
            kind::STORE_STATS => nothing(kind, bytes, Self::StoreStats)?,
            kind::STORE_VERIFY => Self::StoreVerify(message(kind, bytes)?),
            kind::STORE_BACKUP => nothing(kind, bytes, Self::StoreBackup)?,
            kind::ACCEPT_ROLLBACK => nothing(kind, bytes, Self::AcceptRollback)?,
            kind::STORE_MOVE_OUT => Self::StoreMoveOut(message(kind, bytes)?),
            kind::ERASE => Self::Erase(message(kind, bytes)?),
            other => return Err(CodecError::UnknownType(other)),
        })
    }
}

impl Reply {
    /// The reply as a payload.
    pub fn encode(&self) -> Result<Encoded, CodecError> {
        use reply::kind;
        match self {
            Self::Token(it) => payload(kind::TOKEN, it),
            Self::LoginBegun(it) => payload(kind::LOGIN_BEGUN, it),
            Self::LoggedIn(it) => payload(kind::LOGGED_IN, it),
            Self::Sessions(it) => payload(kind::SESSIONS, it),
            Self::Session(it) => payload(kind::SESSION, it),
            Self::LoggedOut(it) => payload(kind::LOGGED_OUT, it),
            Self::Status(it) => payload(kind::STATUS, it),
            Self::DeviceBegun(it) => payload(kind::DEVICE_BEGUN, it),
            Self::History(it) => payload(kind::HISTORY, it),
            Self::Identity(it) => payload(kind::IDENTITY, it),
            Self::Explanation(it) => payload(kind::EXPLANATION, it),
            Self::Providers(it) => payload(kind::PROVIDERS, it),
            Self::ProviderReport(it) => payload(kind::PROVIDER_REPORT, it),
            Self::Metrics(it) => payload(kind::METRICS, it),
            Self::Keys(it) => payload(kind::KEYS, it),
            Self::KeysRotating(it) => payload(kind::KEYS_ROTATING, it),
            Self::KeysRecovered(it) => payload(kind::KEYS_RECOVERED, it),
            Self::StoreStats(it) => payload(kind::STORE_STATS, it),
            Self::VerifyPage(it) => payload(kind::VERIFY_PAGE, it),
            Self::BackupPart(it) => payload(kind::BACKUP_PART, it),
            Self::RollbackAccepted(it) => payload(kind::ROLLBACK_ACCEPTED, it),
            Self::MovedOut(it) => payload(kind::MOVED_OUT, it),
            Self::Erasure(it) => payload(kind::ERASURE, it),
            Self::Problem(it) => payload(kind::PROBLEM, it),
        }
    }

    /// The reply that a payload holds.
    pub fn decode(kind: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        use reply::kind;
        Ok(match kind {
            kind::TOKEN => Self::Token(message(kind, bytes)?),
            kind::LOGIN_BEGUN => Self::LoginBegun(message(kind, bytes)?),
            kind::LOGGED_IN => Self::LoggedIn(message(kind, bytes)?),
            kind::SESSIONS => Self::Sessions(message(kind, bytes)?),
            kind::SESSION => Self::Session(message(kind, bytes)?),
            kind::LOGGED_OUT => Self::LoggedOut(message(kind, bytes)?),
            kind::STATUS => Self::Status(message(kind, bytes)?),
            kind::DEVICE_BEGUN => Self::DeviceBegun(message(kind, bytes)?),
            kind::HISTORY => Self::History(message(kind, bytes)?),
            kind::IDENTITY => Self::Identity(message(kind, bytes)?),
            kind::EXPLANATION => Self::Explanation(message(kind, bytes)?),
            kind::PROVIDERS => Self::Providers(message(kind, bytes)?),
            kind::PROVIDER_REPORT => Self::ProviderReport(message(kind, bytes)?),
            kind::METRICS => Self::Metrics(message(kind, bytes)?),
            kind::KEYS => Self::Keys(message(kind, bytes)?),
            kind::KEYS_ROTATING => Self::KeysRotating(message(kind, bytes)?),
            kind::KEYS_RECOVERED => Self::KeysRecovered(message(kind, bytes)?),
            kind::STORE_STATS => Self::StoreStats(message(kind, bytes)?),
            kind::VERIFY_PAGE => Self::VerifyPage(message(kind, bytes)?),
            kind::BACKUP_PART => Self::BackupPart(message(kind, bytes)?),
            kind::ROLLBACK_ACCEPTED => Self::RollbackAccepted(message(kind, bytes)?),
            kind::MOVED_OUT => Self::MovedOut(message(kind, bytes)?),
            kind::ERASURE => Self::Erasure(message(kind, bytes)?),
            kind::PROBLEM => Self::Problem(message(kind, bytes)?),
            other => return Err(CodecError::UnknownType(other)),
        })
    }
}

fn layout() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_little_endian().with_limit(MAX_PAYLOAD as u64)
}

fn payload<T: Serialize>(kind: u16, message: &T) -> Result<Encoded, CodecError> {
    // One exact allocation: a vector that grows would leave unwiped copies of a token behind.
    let size = layout().serialized_size(message).map_err(|_| CodecError::TooLarge(kind))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(MAX_PAYLOAD)));
    layout().serialize_into(&mut *bytes, message).map_err(|_| CodecError::TooLarge(kind))?;
    Ok((kind, bytes))
}

fn message<T: DeserializeOwned>(kind: u16, bytes: &[u8]) -> Result<T, CodecError> {
    layout().deserialize(bytes).map_err(|_| CodecError::Malformed(kind))
}

/// The request `whole`, whose payload is empty.
fn nothing(kind: u16, bytes: &[u8], whole: Request) -> Result<Request, CodecError> {
    message::<()>(kind, bytes).map(|()| whole)
}
