//! The socket itself: handed over by systemd, or our own.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use listenfd::ListenFd;

/// A listening socket.
pub type Listener = interprocess::os::unix::uds_local_socket::tokio::Listener;

/// Who may connect is decided by rules, not by the mode of the socket.
const SOCKET_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o755;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("{path} is in use: another daemon listens there; stop it, or set `socket` in [daemon]")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("{path} is in the way and is not a socket; remove it, or set `socket` in [daemon]")]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot listen on {path}: {source}")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What systemd handed over is no listening Unix socket.
    #[error("systemd handed over something that is not a listening Unix socket: {0}; check tokenkeeperd.socket")]
    HandedOver(io::Error),
}

/// The socket that systemd handed over, else one at `path`.
pub fn listen(path: &Path) -> Result<Listener, ListenError> {
    let handed_over = ListenFd::from_env().take_unix_listener(0).map_err(ListenError::HandedOver)?;
    match handed_over {
        Some(socket) => Listener::try_from(OwnedFd::from(socket)).map_err(ListenError::HandedOver),
        None => bind(path),
    }
}

fn bind(path: &Path) -> Result<Listener, ListenError> {
    let refused = |source| ListenError::Refused { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(refused)?;
    }
    clear_the_way(path)?;
    let name = path.to_fs_name::<GenericFilePath>().map_err(refused)?;
    let listener = ListenerOptions::new().name(name).create_tokio_as::<Listener>().map_err(refused)?;
    // The mode of a new socket is cut by the umask; opening it afterwards is never too open in between.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(refused)?;
    Ok(listener)
}

/// Removes the socket of a daemon that was killed. One that is alive, or a file, stays.
fn clear_the_way(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ListenError::InTheWay { path: path.to_owned() });
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    fs::remove_file(path).map_err(|source| ListenError::Refused { path: path.to_owned(), source })
}
