//! Reads the head of an HTTP request: no more of it than fits, and for no longer than a moment.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use tokenkeeper_client::Secret;
use zeroize::Zeroizing;

use crate::clock::Deadline;

/// Longer than any callback; browsers add their headers to it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// For the whole head, however it trickles in. A browser sends it at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a visitor wants.
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Secret,
}

/// Why there is no head.
pub(super) enum Unreadable {
    /// Nobody waits for an answer.
    Gone,
    /// It is not HTTP.
    Malformed,
    /// It is longer than it may be.
    TooLong,
}

/// Reads up to the empty line.
pub(super) fn read(stream: &mut TcpStream) -> Result<Head, Unreadable> {
    let deadline = Deadline::after(PATIENCE);
    let mut bytes = Zeroizing::new(vec![0; MAX_HEAD]);
    let mut filled = 0;
    while filled < MAX_HEAD {
        let left = deadline.left().ok_or(Unreadable::Gone)?;
        stream.set_read_timeout(Some(left)).map_err(|_| Unreadable::Gone)?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(Unreadable::Gone),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Unreadable::Gone),
        }
        if let Some(head) = parse(&bytes[..filled])? {
            return Ok(head);
        }
    }
    Err(Unreadable::TooLong)
}

/// The head, once all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(_)) => {
            let target = request.path.unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let method = request.method.unwrap_or_default().to_owned();
            Ok(Some(Head { method, path: path.to_owned(), query: Secret::from(query) }))
        }
        Err(httparse::Error::TooManyHeaders) => Err(Unreadable::TooLong),
        Err(_) => Err(Unreadable::Malformed),
    }
}
