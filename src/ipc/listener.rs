//! The sockets themselves: handed over by systemd, or our own.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use listenfd::ListenFd;
use tokio::net::TcpListener;

use crate::config::DaemonSettings;

/// A listening socket.
pub type Listener = interprocess::os::unix::uds_local_socket::tokio::Listener;

/// Who may connect is decided by rules, not by the mode of the socket.
const SOCKET_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o755;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("{path} is in use: another daemon listens there; stop it, or set `{key}` in [daemon]")]
    InUse {
        /// The socket.
        path: PathBuf,
        /// The key of the configuration that says where it is.
        key: &'static str,
    },
    /// Something that is no socket is in the way.
    #[error("{path} is in the way and is not a socket; remove it, or set `{key}` in [daemon]")]
    InTheWay {
        /// The file.
        path: PathBuf,
        /// The key of the configuration.
        key: &'static str,
    },
    /// The kernel refused.
    #[error("cannot listen on {path}: {source}")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address for metrics cannot be had.
    #[error("cannot listen on {address}: {source}; set another `metrics_listen` in [daemon]")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// What systemd handed over is no listening Unix socket.
    #[error(
        "systemd handed over something else than its listening Unix sockets: {0}; check tokenkeeperd.socket and tokenkeeperd-http.socket"
    )]
    HandedOver(io::Error),
}

/// What the HTTP socket is called in `LISTEN_FDNAMES`: `FileDescriptorName=` of its unit. Any other is the native one.
const HTTP_NAME: &str = "http";

/// The sockets of a daemon.
pub struct Sockets {
    /// That of the native protocol.
    pub native: Listener,
    /// That of HTTP, if it is on.
    pub http: Option<Listener>,
    /// That of metrics on loopback, if it is on.
    pub metrics: Option<TcpListener>,
}

/// The Unix sockets that systemd handed over, and no others then; else those of the configuration.
pub fn listen(settings: &DaemonSettings) -> Result<Sockets, ListenError> {
    let metrics = settings.metrics_listen.map(bind_metrics).transpose()?;
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let (native, http) = if let Some(handed_over) = take_over(ListenFd::from_env(), &names)? {
        handed_over
    } else {
        // The native one first: where another daemon has both, that is the key to name.
        let native = bind(&settings.socket, "socket")?;
        (native, settings.http_socket.as_deref().map(|path| bind(path, "http_socket")).transpose()?)
    };
    [Some(&native), http.as_ref()].into_iter().flatten().for_each(refuse_descriptors);
    Ok(Sockets { native, http, metrics })
}

/// We want none, and closing one can stop a thread for as long as its sender likes. Kernels before 6.16 cannot help it.
fn refuse_descriptors(listener: &Listener) {
    if let Err(error) = tokenkeeper_sys::refuse_descriptors(listener.as_fd()) {
        tracing::debug!(%error, "peers can send descriptors");
    }
}

/// What systemd handed over, if it did. Without names, the first is the native one.
fn take_over(mut handed_over: ListenFd, names: &str) -> Result<Option<(Listener, Option<Listener>)>, ListenError> {
    let wrong = |words: &str| ListenError::HandedOver(io::Error::other(words.to_owned()));
    let mut names = names.split(':');
    let (mut native, mut http) = (None, None);
    for index in 0..handed_over.len() {
        let place = if names.next() == Some(HTTP_NAME) { &mut http } else { &mut native };
        let socket = handed_over.take_unix_listener(index).map_err(ListenError::HandedOver)?;
        let socket = socket.map(|socket| Listener::try_from(OwnedFd::from(socket))).transpose();
        let socket = socket.map_err(ListenError::HandedOver)?;
        if place.is_some() {
            return Err(wrong("there are two of one kind"));
        }
        *place = socket;
    }
    match (native, http) {
        (Some(native), http) => Ok(Some((native, http))),
        (None, Some(_)) => Err(wrong("the HTTP socket came without the native one")),
        (None, None) => Ok(None),
    }
}

fn bind_metrics(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|source| ListenError::Metrics { address, source })
}

fn bind(path: &Path, key: &'static str) -> Result<Listener, ListenError> {
    let refused = |source| ListenError::Refused { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(refused)?;
    }
    clear_the_way(path, key)?;
    let name = path.to_fs_name::<GenericFilePath>().map_err(refused)?;
    let listener = ListenerOptions::new().name(name).create_tokio_as::<Listener>().map_err(refused)?;
    // The mode of a new socket is cut by the umask; opening it afterwards is never too open in between.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(refused)?;
    Ok(listener)
}

/// Removes the socket of a daemon that was killed. One that is alive, or a file, stays.
fn clear_the_way(path: &Path, key: &'static str) -> Result<(), ListenError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ListenError::InTheWay { path: path.to_owned(), key });
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse { path: path.to_owned(), key });
    }
    fs::remove_file(path).map_err(|source| ListenError::Refused { path: path.to_owned(), source })
}
