//! Finding and opening the socket of the daemon.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::Error;

const SYSTEM_SOCKET: &str = "/run/tokenkeeper/tokenkeeper.sock";
const USER_SOCKET: &str = "tokenkeeper/tokenkeeper.sock";

/// Where the daemon listens: `$TOKENKEEPER_SOCKET`, else `$XDG_RUNTIME_DIR/tokenkeeper/tokenkeeper.sock` if there is one
/// (a daemon in user mode), else `/run/tokenkeeper/tokenkeeper.sock`.
pub fn default_socket() -> PathBuf {
    choose(std::env::var_os("TOKENKEEPER_SOCKET"), std::env::var_os("XDG_RUNTIME_DIR"))
}

/// An empty variable counts as unset; a relative runtime directory is ignored, as the XDG specification wants.
fn choose(socket: Option<OsString>, runtime_dir: Option<OsString>) -> PathBuf {
    if let Some(socket) = socket.filter(|path| !path.is_empty()) {
        return socket.into();
    }
    let user = runtime_dir.map(|dir| PathBuf::from(dir).join(USER_SOCKET));
    user.filter(|path| path.is_absolute() && path.exists()).unwrap_or_else(|| SYSTEM_SOCKET.into())
}

/// Connects, waiting for a place in the daemon's queue for at most `timeout`.
pub(crate) fn connect(path: &Path, timeout: Duration) -> Result<UnixStream, Error> {
    let open = || -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // On Linux the send timeout also limits how long connect() waits when the queue of the listener is full.
        socket.set_write_timeout(Some(at_least_a_moment(timeout)))?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(OwnedFd::from(socket).into())
    };
    open().map_err(|error| Error::connecting(path, error))
}

/// To the system, a timeout of zero means none at all.
pub(crate) fn at_least_a_moment(timeout: Duration) -> Duration {
    timeout.max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_of_our_own_comes_first() {
        assert_eq!(choose(Some("/x/y.sock".into()), Some("/run/user/1".into())), Path::new("/x/y.sock"));
    }

    #[test]
    fn a_daemon_of_the_user_comes_before_that_of_the_system_if_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = || Some(dir.path().as_os_str().to_owned());
        assert_eq!(choose(None, runtime()), Path::new(SYSTEM_SOCKET));
        std::fs::create_dir(dir.path().join("tokenkeeper")).unwrap();
        std::fs::write(dir.path().join(USER_SOCKET), "").unwrap();
        assert_eq!(choose(Some("".into()), runtime()), dir.path().join(USER_SOCKET));
    }

    #[test]
    fn without_any_variable_it_is_the_daemon_of_the_system() {
        assert_eq!(choose(None, None), Path::new(SYSTEM_SOCKET));
        assert_eq!(choose(None, Some("".into())), Path::new(SYSTEM_SOCKET));
    }
}
