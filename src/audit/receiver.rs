//! The connection to whoever takes the records. It blocks, at most for its timeouts, and is used by the relay's thread alone.
//!
//! "Taken" means that the kernel accepted the bytes: syslog has no answer. A stream is looked at before each record, so that one the
//! receiver has closed is opened anew instead of being written into.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Event;
use super::format::Form;
use crate::config::AuditTarget;

/// How long a full datagram queue is waited for before the events go back to waiting in the outbox.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(250);
/// The same for a stream whose window is closed; a record cut off by it is sent again whole, on a new connection.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);
/// For each address that the host name has.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A record was not taken.
#[derive(Debug, thiserror::Error)]
#[error("audit records wait: {receiver} does not take them ({source})")]
pub(super) struct NotTaken {
    receiver: String,
    source: io::Error,
}

/// The receiver of the configuration, connected when it is first needed.
pub(super) struct Receiver {
    target: AuditTarget,
    form: Form,
    line: Option<Line>,
}

enum Line {
    /// Not connected: each datagram goes to whoever holds the path by then, so a syslog daemon may come and go.
    UnixDatagram(UnixDatagram, PathBuf),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Receiver {
    pub(super) fn new(target: AuditTarget) -> Self {
        let pid = std::process::id();
        let form = match &target {
            AuditTarget::Local(_) => Form::bsd(pid),
            AuditTarget::UnixDatagram(_) | AuditTarget::Udp(_) | AuditTarget::Tcp(_) => {
                let hostname = nix::unistd::gethostname().unwrap_or_default();
                Form::structured(pid, &hostname.to_string_lossy())
            }
        };
        Self { target, form, line: None }
    }

    pub(super) fn target(&self) -> &AuditTarget {
        &self.target
    }

    /// Sends one record. After an error the next record begins on a new connection.
    pub(super) fn send(&mut self, event: &Event) -> Result<(), NotTaken> {
        let record = self.form.render(event);
        let line = self.line.take().filter(Line::is_open).map_or_else(|| Line::open(&self.target), Ok);
        let sent = line.and_then(|mut line| line.send(&record).map(|()| line));
        let line = sent.map_err(|source| NotTaken { receiver: self.name(), source })?;
        self.line = Some(line);
        Ok(())
    }

    fn name(&self) -> String {
        match &self.target {
            AuditTarget::Local(path) | AuditTarget::UnixDatagram(path) => path.display().to_string(),
            AuditTarget::Udp(address) => format!("{address} (udp)"),
            AuditTarget::Tcp(address) => format!("{address} (tcp)"),
        }
    }
}

impl Line {
    fn open(target: &AuditTarget) -> io::Result<Self> {
        match target {
            AuditTarget::Local(path) | AuditTarget::UnixDatagram(path) => unix_datagram(path),
            AuditTarget::Udp(address) => first_that_works(address, udp).map(Self::Udp),
            AuditTarget::Tcp(address) => first_that_works(address, tcp).map(Self::Tcp),
        }
    }

    /// Whether the other side has not hung up. Only a stream can tell.
    fn is_open(&self) -> bool {
        let Self::Tcp(stream) = self else { return true };
        let look = || {
            stream.set_nonblocking(true)?;
            let seen = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            seen
        };
        match look() {
            Ok(length) => length > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        match self {
            Self::UnixDatagram(socket, path) => whole(|| socket.send_to(record, &*path)),
            Self::Udp(socket) => whole(|| socket.send(record)),
            Self::Tcp(stream) => {
                // Octet counting, RFC 6587 section 3.4.1; in one piece, so that no small first packet is waited for.
                let mut framed = format!("{} ", record.len()).into_bytes();
                framed.extend_from_slice(record);
                stream.write_all(&framed)
            }
        }
    }
}

fn unix_datagram(path: &Path) -> io::Result<Line> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(DATAGRAM_PATIENCE))?;
    Ok(Line::UnixDatagram(socket, path.to_owned()))
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_write_timeout(Some(DATAGRAM_PATIENCE))?;
    socket.connect(address)?;
    Ok(socket)
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
    stream.set_write_timeout(Some(STREAM_PATIENCE))?;
    Ok(stream)
}

fn first_that_works<T>(name: &str, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host name has no address");
    for address in name.to_socket_addrs()? {
        match open(address) {
            Ok(line) => return Ok(line),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Sends a datagram, which goes whole or not at all. A timeout on the socket makes signals interrupt it.
fn whole(send: impl Fn() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match send() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
