//! The client for programs without a runtime: one request at a time, on the standard library's sockets.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::vec;

use tokenkeeper_protocol::request::MoveOut;
use tokenkeeper_protocol::{Reply, Request, reply};

use crate::connect::{at_least_a_moment, connect};
use crate::error::{Broken, Error, ProtocolError};
use crate::wire::{Inbox, answer, frame, patience};
use crate::{
    DEFAULT_TIMEOUT, DeviceBegin, DeviceWait, Erase, Explain, HistoryRequest, KeysRecover, LoginBegin, LoginComplete,
    ProviderName, Selector, SessionRef, SessionsRequest, StoreVerify, TokenFor, TokenRequest,
};

/// A valid access token of the only session at `provider` that this process may use.
///
/// Whoever asks often keeps a [`Client`] instead, and saves the connecting.
pub fn token(provider: &str) -> Result<reply::TokenReply, Error> {
    let selector = Selector::Only { provider: provider.parse()?, user: None };
    Client::connect_default()?.token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None })
}

/// A connection to the daemon.
///
/// After [`Error::TimedOut`] it can still be used: an answer that comes too late is dropped. After [`Error::Disconnected`],
/// [`Error::WrongVersion`] and [`Error::Protocol`] it gives the same error again: connect anew.
pub struct Client {
    stream: UnixStream,
    inbox: Inbox,
    last_id: u64,
    timeout: Duration,
    broken: Option<Broken>,
}

impl Client {
    /// Connects to the daemon at [`default_socket`](crate::default_socket).
    pub fn connect_default() -> Result<Self, Error> {
        Self::connect(&crate::default_socket())
    }

    /// Connects to the daemon that listens at `path`.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Self::connect_within(path, DEFAULT_TIMEOUT)
    }

    /// The same with another timeout than [`DEFAULT_TIMEOUT`]. It applies to connecting, to sending, and to every wait for an
    /// answer, except that a token request with a longer `timeout_ms` is waited for until the daemon gives up.
    pub fn connect_within(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let stream = connect(path, timeout)?;
        Ok(Self { stream, inbox: Inbox::new(), last_id: 0, timeout, broken: None })
    }

    /// A valid access token.
    pub fn token(&mut self, request: TokenRequest) -> Result<reply::TokenReply, Error> {
        self.call(&Request::Token(request)).and_then(answer::token)
    }

    /// The first half of a login: where to send the browser.
    pub fn login_begin(&mut self, request: LoginBegin) -> Result<reply::LoginBegun, Error> {
        self.call(&Request::LoginBegin(request)).and_then(answer::login_begun)
    }

    /// The second half of a login: who came. Repeating it within 60 seconds gives the same answer.
    pub fn login_complete(&mut self, request: LoginComplete) -> Result<reply::LoggedIn, Error> {
        self.call(&Request::LoginComplete(request)).and_then(answer::logged_in)
    }

    /// One page of the sessions that this process may see.
    pub fn sessions(&mut self, request: SessionsRequest) -> Result<reply::SessionsPage, Error> {
        self.call(&Request::Sessions(request)).and_then(answer::sessions)
    }

    /// All of them, from the cursor of `request` on; pages are fetched as they are needed.
    pub fn all_sessions(&mut self, request: SessionsRequest) -> AllSessions<'_> {
        AllSessions { client: self, page: Vec::new().into_iter(), next: Some(request) }
    }

    /// Everything that this process may know of one session.
    pub fn session(&mut self, session: SessionRef) -> Result<reply::SessionDetail, Error> {
        self.call(&Request::Session(session)).and_then(answer::session)
    }

    /// Ends a session, here and at its provider.
    pub fn logout(&mut self, session: SessionRef) -> Result<reply::LoggedOut, Error> {
        self.call(&Request::Logout(session)).and_then(answer::logged_out)
    }

    /// How the daemon is doing.
    pub fn status(&mut self) -> Result<reply::StatusReply, Error> {
        self.call(&Request::Status).and_then(answer::status)
    }

    /// A valid access token of a session or of a service account, that is good for something in particular.
    pub fn token_for(&mut self, request: TokenFor) -> Result<reply::TokenReply, Error> {
        self.call(&Request::TokenFor(request)).and_then(answer::token)
    }

    /// Begins a login whose browser is on another device (RFC 8628).
    pub fn device_begin(&mut self, request: DeviceBegin) -> Result<reply::DeviceBegun, Error> {
        self.call(&Request::DeviceBegin(request)).and_then(answer::device_begun)
    }

    /// Waits for the user of such a login; [`Code::TryLater`](crate::Code::TryLater) says that they have not come yet.
    pub fn device_wait(&mut self, request: DeviceWait) -> Result<reply::LoggedIn, Error> {
        self.call(&Request::DeviceWait(request)).and_then(answer::logged_in)
    }

    /// What happened to a session, the newest first.
    pub fn history(&mut self, request: HistoryRequest) -> Result<reply::HistoryPage, Error> {
        self.call(&Request::History(request)).and_then(answer::history)
    }

    /// Who this process is to the daemon.
    pub fn who_am_i(&mut self) -> Result<reply::Identity, Error> {
        self.call(&Request::WhoAmI).and_then(answer::identity)
    }

    /// Whether somebody may do something, and why.
    pub fn explain(&mut self, request: Explain) -> Result<reply::Explanation, Error> {
        self.call(&Request::Explain(request)).and_then(answer::explanation)
    }

    /// The providers that this process may know of.
    pub fn providers(&mut self) -> Result<reply::ProvidersReply, Error> {
        self.call(&Request::Providers).and_then(answer::providers)
    }

    /// Whether a provider works. It can take a minute.
    pub fn provider_test(&mut self, provider: ProviderName) -> Result<reply::ProviderReport, Error> {
        self.call(&Request::ProviderTest(provider)).and_then(answer::provider_report)
    }

    /// Everything that is counted, as `OpenMetrics` text.
    pub fn metrics(&mut self) -> Result<String, Error> {
        self.call(&Request::Metrics).and_then(answer::metrics)
    }

    /// The keys of the store: where the identity came from, which epochs there are, how far a rotation is.
    pub fn keys(&mut self) -> Result<reply::KeysReply, Error> {
        self.call(&Request::KeysShow).and_then(answer::keys)
    }

    /// Begins a new epoch of the record keys, and returns its number. Everything is sealed in it in the background.
    pub fn keys_rotate(&mut self) -> Result<u32, Error> {
        self.call(&Request::KeysRotate).and_then(answer::keys_rotating)
    }

    /// Opens the keyring of a daemon that has lost its identity.
    pub fn keys_recover(&mut self, request: KeysRecover) -> Result<reply::KeysRecovered, Error> {
        self.call(&Request::KeysRecover(request)).and_then(answer::keys_recovered)
    }

    /// What the store holds and how much room it takes.
    pub fn store_stats(&mut self) -> Result<reply::StoreStats, Error> {
        self.call(&Request::StoreStats).and_then(answer::store_stats)
    }

    /// One page of the check of the store. The next one begins where it says.
    pub fn store_verify(&mut self, request: StoreVerify) -> Result<reply::VerifyPage, Error> {
        self.call(&Request::StoreVerify(request)).and_then(answer::verify_page)
    }

    /// Begins a backup of all sessions. Its parts come one after the other; hanging up ends it.
    pub fn store_backup(&mut self) -> Result<BackupParts<'_>, Error> {
        let id = self.send(&Request::StoreBackup)?;
        Ok(BackupParts { client: self, id })
    }

    /// Begins to move the store to another host: a backup, and from its end on the store is fenced. Confirm it once it is safe.
    pub fn store_move_out(&mut self) -> Result<BackupParts<'_>, Error> {
        let id = self.send(&Request::StoreMoveOut(MoveOut::Begin))?;
        Ok(BackupParts { client: self, id })
    }

    /// Tells that the backup with this generation in its end, which the store was moved out by, is safe.
    pub fn confirm_move_out(&mut self, generation: u64) -> Result<reply::MovedOut, Error> {
        self.call(&Request::StoreMoveOut(MoveOut::Confirm { generation })).and_then(answer::moved_out)
    }

    /// Has a store used again that was moved out. What left it must be used nowhere.
    pub fn cancel_move_out(&mut self) -> Result<reply::MovedOut, Error> {
        self.call(&Request::StoreMoveOut(MoveOut::Cancel)).and_then(answer::moved_out)
    }

    /// Ends the quarantine of the refresh tokens of a store that was put back.
    pub fn accept_rollback(&mut self) -> Result<reply::RollbackAccepted, Error> {
        self.call(&Request::AcceptRollback).and_then(answer::rollback_accepted)
    }

    /// Erases somebody, or one session; or asks how far that is. It goes on by itself: ask until the stage is
    /// [`Done`](reply::ErasureStage::Done) or [`Rekeying`](reply::ErasureStage::Rekeying).
    pub fn erase(&mut self, request: Erase) -> Result<reply::Erasure, Error> {
        self.call(&Request::Erase(request)).and_then(answer::erasure)
    }

    fn call(&mut self, request: &Request) -> Result<Reply, Error> {
        let id = self.send(request)?;
        self.wait_for(id)
    }

    /// Sends a request, and returns the id that its answer will have.
    fn send(&mut self, request: &Request) -> Result<u64, Error> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        let id = self.last_id + 1;
        let bytes = frame(id, request, self.last_id == 0)?;
        self.last_id = id;
        self.set_timeouts(patience(request, self.timeout))?;
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(id),
            Err(error) => Err(self.last_words(id, &error)),
        }
    }

    fn set_timeouts(&mut self, answer: Duration) -> Result<(), Error> {
        let set = self.stream.set_write_timeout(Some(at_least_a_moment(self.timeout)));
        let set = set.and_then(|()| self.stream.set_read_timeout(Some(at_least_a_moment(answer))));
        set.map_err(|_| self.broken.insert(Broken::Disconnected).clone().into())
    }

    /// Half a frame may be on its way, so nothing can follow it. What the daemon said before it hung up may explain it.
    fn last_words(&mut self, id: u64, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.broken = Some(Broken::Disconnected);
            return Error::TimedOut;
        }
        let told = self.wait_for(id).err();
        self.broken.get_or_insert(Broken::Disconnected);
        told.unwrap_or(Error::Disconnected)
    }

    fn wait_for(&mut self, id: u64) -> Result<Reply, Error> {
        loop {
            match self.inbox.next() {
                Ok(Some((of, reply))) if of == id => return Ok(reply?),
                // Came too late for an earlier request.
                Ok(Some(_)) => {}
                Ok(None) => self.receive()?,
                Err(broken) => return Err(self.broken.insert(broken).clone().into()),
            }
        }
    }

    fn receive(&mut self) -> Result<(), Error> {
        match self.stream.read(self.inbox.space()) {
            Ok(count) if count > 0 => self.inbox.filled(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Error::TimedOut),
            _ => return Err(self.broken.insert(Broken::Disconnected).clone().into()),
        }
        Ok(())
    }
}

/// A backup on its way.
pub struct BackupParts<'a> {
    client: &'a mut Client,
    id: u64,
}

impl BackupParts<'_> {
    /// The next part. The last one has an end; behind it comes nothing.
    pub fn next_part(&mut self) -> Result<reply::BackupPart, Error> {
        self.client.wait_for(self.id).and_then(answer::backup_part)
    }
}

/// All sessions that a process may see, one after the other. It ends after the first error.
pub struct AllSessions<'a> {
    client: &'a mut Client,
    page: vec::IntoIter<reply::SessionSummary>,
    next: Option<SessionsRequest>,
}

impl AllSessions<'_> {
    fn turn(&mut self, request: SessionsRequest) -> Result<(), Error> {
        let page = self.client.sessions(request.clone())?;
        // Pages are in the order of references: a cursor that does not advance would never end.
        if page.next.is_some() && page.next <= request.cursor {
            return Err(ProtocolError::UnexpectedReply.into());
        }
        self.page = page.sessions.into_iter();
        self.next = page.next.map(|cursor| SessionsRequest { cursor: Some(cursor), ..request });
        Ok(())
    }
}

impl Iterator for AllSessions<'_> {
    type Item = Result<reply::SessionSummary, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(session) = self.page.next() {
                return Some(Ok(session));
            }
            let request = self.next.take()?;
            if let Err(error) = self.turn(request) {
                return Some(Err(error));
            }
        }
    }
}
