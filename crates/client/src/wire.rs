//! Frames out, replies in: what both clients share once they have bytes. No I/O here.
//!
//! Buffers that held a request or a reply are wiped, and bytes that were read are wiped as soon as they are decoded.

use std::time::Duration;

use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::request::{DeviceWait, TokenFor, TokenRequest};
use tokenkeeper_protocol::{Reply, Request, reply};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Broken, Error, ProtocolError};

/// Enough for nearly every reply; a longer frame gets a buffer of its size.
const USUAL_CAPACITY: usize = 8 * 1024;
/// What the way through the sockets may take on top of the time a request gives the daemon.
const GRACE: Duration = Duration::from_secs(2);
/// The test of a provider goes through many steps, and waits for an answer in each.
const PROVIDER_TEST: Duration = Duration::from_mins(2);
/// The longest that moving the store out waits for refreshes in flight, and a moment.
const MOVE_OUT: Duration = Duration::from_secs(45);

/// A request as the bytes to send; behind the hello, if it is the first of its connection.
pub(crate) fn frame(id: u64, request: &Request, first: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (kind, payload) = request.encode().map_err(|_| Error::RequestTooLong)?;
    let length = u32::try_from(payload.len()).map_err(|_| Error::RequestTooLong)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(HELLO_LEN + HEADER_LEN + payload.len()));
    if first {
        bytes.extend_from_slice(&Version::CURRENT.hello());
    }
    bytes.extend_from_slice(&Header { length, kind, flags: 0, id }.to_bytes());
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

/// How long to wait for the answer to `request`: at least as long as the request itself lets the daemon wait.
pub(crate) fn patience(request: &Request, timeout: Duration) -> Duration {
    match request {
        Request::Token(TokenRequest { timeout_ms: Some(ms), .. })
        | Request::TokenFor(TokenFor { timeout_ms: Some(ms), .. })
        | Request::DeviceWait(DeviceWait { timeout_ms: Some(ms), .. }) => {
            timeout.max(Duration::from_millis(u64::from(*ms)) + GRACE)
        }
        // Every step of it may take as long as the provider is given.
        Request::ProviderTest(_) => timeout.max(PROVIDER_TEST),
        // Refreshes in flight are finished before it begins.
        Request::StoreMoveOut(_) => timeout.max(MOVE_OUT),
        _ => timeout,
    }
}

/// What came from the daemon and was not looked at yet.
pub(crate) struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    greeted: bool,
}

/// A reply, or why it cannot be read, and the request it belongs to.
pub(crate) type Arrival = (u64, Result<Reply, ProtocolError>);

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; USUAL_CAPACITY]), start: 0, end: 0, greeted: false }
    }

    /// Where the next bytes go; never empty after [`next`](Self::next) found nothing.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were put into the space.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The next reply, if all of it is there. An error means that the connection is of no more use.
    pub(crate) fn next(&mut self) -> Result<Option<Arrival>, Broken> {
        if !self.greeted {
            let Some(hello) = self.peek::<HELLO_LEN>() else { return Ok(None) };
            let version = Version::from_hello(hello).ok_or(Broken::Protocol(ProtocolError::NotTokenkeeper))?;
            if version.major != Version::CURRENT.major {
                return Err(Broken::WrongVersion(version));
            }
            self.greeted = true;
            self.discard(HELLO_LEN);
        }
        let Some(header) = self.peek::<HEADER_LEN>() else {
            self.make_room(HEADER_LEN);
            return Ok(None);
        };
        let header = Header::from_bytes(header).map_err(|error| Broken::Protocol(error.into()))?;
        let length = HEADER_LEN + header.length as usize;
        if self.end - self.start < length {
            self.make_room(length);
            return Ok(None);
        }
        let payload = &self.bytes[self.start + HEADER_LEN..self.start + length];
        let reply = Reply::decode(header.kind, payload).map_err(ProtocolError::from);
        self.discard(length);
        match (header.id, reply) {
            // About the connection as a whole.
            (0, Ok(Reply::Problem(problem))) => Err(Broken::Problem(problem)),
            (id, reply) => Ok(Some((id, reply))),
        }
    }

    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes[self.start..self.end].first_chunk().copied()
    }

    fn discard(&mut self, count: usize) {
        self.bytes[self.start..self.start + count].zeroize();
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Moves what is there to the front of a buffer that holds a frame of `length`.
    fn make_room(&mut self, length: usize) {
        if self.start + length <= self.bytes.len() && self.end < self.bytes.len() {
            return;
        }
        let held = self.end - self.start;
        let mut roomy = Zeroizing::new(vec![0; length.max(USUAL_CAPACITY)]);
        roomy[..held].copy_from_slice(&self.bytes[self.start..self.end]);
        (self.bytes, self.start, self.end) = (roomy, 0, held);
    }
}

macro_rules! answers {
    ($($name:ident: $variant:ident -> $kind:ty,)+) => {
        /// Each takes the reply that fits one request.
        pub(crate) mod answer {
            use super::{Error, ProtocolError, Reply, reply};

            $(pub(crate) fn $name(reply: Reply) -> Result<$kind, Error> {
                match reply {
                    Reply::$variant(it) => Ok(it),
                    Reply::Problem(problem) => Err(Error::Problem(problem)),
                    _ => Err(Error::Protocol(ProtocolError::UnexpectedReply)),
                }
            })+
        }
    };
}

answers! {
    token: Token -> reply::TokenReply,
    login_begun: LoginBegun -> reply::LoginBegun,
    logged_in: LoggedIn -> reply::LoggedIn,
    sessions: Sessions -> reply::SessionsPage,
    session: Session -> reply::SessionDetail,
    logged_out: LoggedOut -> reply::LoggedOut,
    status: Status -> reply::StatusReply,
    device_begun: DeviceBegun -> reply::DeviceBegun,
    history: History -> reply::HistoryPage,
    identity: Identity -> reply::Identity,
    explanation: Explanation -> reply::Explanation,
    providers: Providers -> reply::ProvidersReply,
    provider_report: ProviderReport -> reply::ProviderReport,
    metrics: Metrics -> String,
    store_stats: StoreStats -> reply::StoreStats,
    verify_page: VerifyPage -> reply::VerifyPage,
    backup_part: BackupPart -> reply::BackupPart,
    keys: Keys -> reply::KeysReply,
    keys_rotating: KeysRotating -> u32,
    keys_recovered: KeysRecovered -> reply::KeysRecovered,
    rollback_accepted: RollbackAccepted -> reply::RollbackAccepted,
    moved_out: MovedOut -> reply::MovedOut,
    erasure: Erasure -> reply::Erasure,
}

#[cfg(test)]
mod tests {
    use tokenkeeper_protocol::{Code, Problem};

    use super::*;

    fn problem_frame(id: u64, length_of_message: usize) -> Vec<u8> {
        let reply = Reply::Problem(Problem::new(Code::Internal, "m".repeat(length_of_message)));
        let (kind, payload) = reply.encode().unwrap();
        let header = Header { length: u32::try_from(payload.len()).unwrap(), kind, flags: 0, id };
        [header.to_bytes().as_slice(), &payload].concat()
    }

    fn feed(inbox: &mut Inbox, bytes: &[u8]) {
        let space = inbox.space();
        assert!(space.len() >= bytes.len(), "no room for {} bytes", bytes.len());
        space[..bytes.len()].copy_from_slice(bytes);
        inbox.filled(bytes.len());
    }

    #[test]
    fn the_first_frame_travels_behind_the_hello() {
        let bytes = frame(1, &Request::Status, true).unwrap();
        assert_eq!(&bytes[..HELLO_LEN], b"tkpr\x01\0\0\0");
        assert_eq!(bytes[HELLO_LEN..], *frame(1, &Request::Status, false).unwrap());
    }

    #[test]
    fn frames_that_come_byte_by_byte_are_put_together() {
        let mut inbox = Inbox::new();
        let stream = [Version::CURRENT.hello().as_slice(), &problem_frame(1, 9), &problem_frame(2, 20_000)].concat();
        let mut found = Vec::new();
        for byte in stream {
            feed(&mut inbox, &[byte]);
            found.extend(inbox.next().unwrap().map(|(id, _)| id));
        }
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn many_frames_that_fill_the_buffer_to_the_brim_are_all_found() {
        let mut inbox = Inbox::new();
        let mut stream = Version::CURRENT.hello().to_vec();
        (1..400).for_each(|id| stream.extend(problem_frame(id, 90)));
        let mut found = Vec::new();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let count = inbox.space().len().min(rest.len());
            assert_ne!(count, 0, "the inbox is stuck");
            feed(&mut inbox, &rest[..count]);
            rest = &rest[count..];
            while let Some((id, _)) = inbox.next().unwrap() {
                found.push(id);
            }
        }
        assert_eq!(found, (1..400).collect::<Vec<u64>>());
    }

    #[test]
    fn what_was_decoded_is_wiped() {
        let mut inbox = Inbox::new();
        feed(&mut inbox, &[Version::CURRENT.hello().as_slice(), &problem_frame(1, 50)].concat());
        assert!(inbox.next().unwrap().is_some());
        assert!(inbox.bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_problem_about_the_connection_as_a_whole_ends_it() {
        let mut inbox = Inbox::new();
        feed(&mut inbox, &[Version::CURRENT.hello().as_slice(), &problem_frame(0, 5)].concat());
        assert!(matches!(inbox.next(), Err(Broken::Problem(_))));
    }

    #[test]
    fn a_caller_waits_at_least_as_long_as_it_lets_the_daemon_wait() {
        let token = |timeout_ms| {
            let selector = crate::Selector::Session("7k3vq2mx".parse().unwrap());
            Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms })
        };
        let timeout = Duration::from_secs(30);
        assert_eq!(patience(&token(Some(5_000)), timeout), timeout);
        assert_eq!(patience(&token(Some(60_000)), timeout), Duration::from_secs(62));
        assert_eq!(patience(&token(None), timeout), timeout);
    }
}
