//! The lines of a backup. They are told in `docs/guide/backup.md`: a field may be added, none may change its meaning.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{ProviderName, UnixSeconds};

use crate::audit::Event;
use crate::domain::Session;
use crate::vault::{Binding, Intent};

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Header(Header),
    Session(Box<SessionLine>),
    Binding(BindingLine),
    End(End),
}

/// The first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// Of the daemon that wrote it.
    pub(super) version: String,
    /// The id of the store, in hexadecimal digits.
    pub(super) store: String,
    pub(super) generation: u64,
    pub(super) at: UnixSeconds,
    /// The store it was taken of was fenced with it.
    #[serde(default)]
    pub(super) moved_out: bool,
    /// Its refresh tokens may have been spent before that: it was an old copy itself.
    #[serde(default)]
    pub(super) quarantine: bool,
}

/// A session with all that belongs to it.
#[derive(Serialize, Deserialize)]
pub(super) struct SessionLine {
    pub(super) session: Session,
    /// A refresh whose answer had not come.
    pub(super) intent: Option<Intent>,
    pub(super) history: Vec<Entry>,
}

/// What happened to it.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// Of a hand-out: what tells its peer from others, in hexadecimal digits.
    pub(super) peer: Option<String>,
    pub(super) event: Event,
}

/// Whom a name stands for.
#[derive(Serialize, Deserialize)]
pub(super) struct BindingLine {
    pub(super) provider: ProviderName,
    #[serde(flatten)]
    pub(super) binding: Binding,
}

/// The last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) sessions: u64,
    pub(super) bindings: u64,
    /// Of all bytes before this line, in hexadecimal digits.
    pub(super) sha256: String,
}
