//! What can go wrong between a program and the daemon, named for what the program does next.

use std::io;
use std::path::{Path, PathBuf};

use tokenkeeper_protocol::Problem;
use tokenkeeper_protocol::codec::CodecError;
use tokenkeeper_protocol::frame::{FrameTooLong, Version};
use tokenkeeper_protocol::id::InvalidId;

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens: start the daemon.
    #[error("cannot reach the daemon at {}: {source}; see whether it runs: systemctl status tokenkeeperd, or start your own: tokenkeeperd --user", path.display())]
    Unreachable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket may not be opened by this user: ask an administrator.
    #[error("not allowed to open {}; ask an administrator for access to this socket", path.display())]
    PermissionDenied {
        /// Where the socket is.
        path: PathBuf,
    },
    /// The daemon answered that it cannot do it; [`Problem::code`] says what to do.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Client and daemon are of different generations: upgrade the older one.
    #[error(
        "the daemon speaks protocol {}.{}, this program {}.{}; upgrade the older one",
        daemon.major, daemon.minor, Version::CURRENT.major, Version::CURRENT.minor
    )]
    WrongVersion {
        /// What the daemon speaks.
        daemon: Version,
    },
    /// What came is not the protocol: something else listens there, or it is a fault to report.
    #[error("the other end of the socket does not keep to the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The connection ended before the answer came: connect again and ask again.
    #[error("the daemon closed the connection before it answered; try again")]
    Disconnected,
    /// Nothing came in time: ask again, on the same connection if there is one.
    #[error("the daemon did not answer in time; try again, or see: systemctl status tokenkeeperd")]
    TimedOut,
    /// The request cannot be sent: fix the caller.
    #[error("the request is longer than the protocol allows")]
    RequestTooLong,
    /// A name in the request is not well formed: fix the caller.
    #[error(transparent)]
    InvalidName(#[from] InvalidId),
}

/// How the other end broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Its first bytes are not a hello.
    #[error("it does not begin with a hello of tokenkeeper")]
    NotTokenkeeper,
    /// It announced a frame that no one would send.
    #[error(transparent)]
    FrameTooLong(#[from] FrameTooLong),
    /// A payload that cannot be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A reply to another question.
    #[error("the answer does not fit the question")]
    UnexpectedReply,
}

impl Error {
    /// What a failed `connect()` to `path` means.
    pub(crate) fn connecting(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Unreachable { path, source },
        }
    }
}

/// Why a connection is of no use any more. Everyone who waits on it gets a copy.
#[derive(Clone, Debug)]
pub(crate) enum Broken {
    WrongVersion(Version),
    Protocol(ProtocolError),
    Problem(Problem),
    Disconnected,
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::WrongVersion(daemon) => Self::WrongVersion { daemon },
            Broken::Protocol(error) => Self::Protocol(error),
            Broken::Problem(problem) => Self::Problem(problem),
            Broken::Disconnected => Self::Disconnected,
        }
    }
}
