//! The client for tokio: any number of requests at a time over one connection.
//!
//! A caller writes its frame itself when the socket takes it at once; one task per connection does the rest: it writes what was
//! left over, reads replies, and hands each to whoever waits for its id. Invariant: bytes in `unsent` go out before any other.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::{Reply, Request, reply};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::error::{Broken, Error, ProtocolError};
use crate::wire::{Inbox, answer, frame, patience};
use crate::{
    DEFAULT_TIMEOUT, DeviceBegin, DeviceWait, Erase, Explain, HistoryRequest, KeysRecover, LoginBegin, LoginComplete,
    ProviderName, Selector, SessionRef, SessionsRequest, StoreVerify, TokenFor, TokenRequest, connect,
};

/// Frames that wait for a daemon that reads nothing. More than any burst needs; without a limit, a caller that repeats what
/// timed out would fill the memory.
const MAX_UNSENT: usize = 1024;

/// A valid access token of the only session at `provider` that this process may use.
///
/// Whoever asks often keeps a [`Client`] instead, and saves the connecting.
///
/// # Cancel safety
/// Cancel safe, as every request is: see [`Client`].
pub async fn token(provider: &str) -> Result<reply::TokenReply, Error> {
    let selector = Selector::Only { provider: provider.parse()?, user: None };
    let client = Client::connect_default().await?;
    client.token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None }).await
}

/// A connection to the daemon. Clones share it; it closes when the last of them is dropped.
///
/// It belongs to the tokio runtime it was made in, which must have I/O and time enabled. After [`Error::TimedOut`] it can still be
/// used. After [`Error::Disconnected`], [`Error::WrongVersion`] and [`Error::Protocol`] it may give the same error again: connect anew.
///
/// # Cancel safety
/// A call that is dropped leaves the connection in order: its frame is sent whole or not at all, and its reply is ignored. The
/// daemon may still have done what was asked: a login begun and dropped is forgotten when it expires, a logout dropped may have
/// happened. Asking again is always safe.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
    timeout: Duration,
}

impl Client {
    /// Connects to the daemon at [`default_socket`](crate::default_socket).
    pub async fn connect_default() -> Result<Self, Error> {
        Self::connect(&crate::default_socket()).await
    }

    /// Connects to the daemon that listens at `path`.
    pub async fn connect(path: &Path) -> Result<Self, Error> {
        Self::connect_within(path, DEFAULT_TIMEOUT).await
    }

    /// The same with another timeout than [`DEFAULT_TIMEOUT`]. It applies to connecting and to every request as a whole, except
    /// that a token request with a longer `timeout_ms` is waited for until the daemon gives up.
    pub async fn connect_within(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let stream = match UnixStream::connect(path).await {
            // The queue of the listener is full: only a blocking connect() can wait for a place in it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_place(path, timeout).await?,
            other => other.map_err(|error| Error::connecting(path, error))?,
        };
        Ok(Self { connection: Arc::new(Connection::over(stream)), timeout })
    }

    /// A valid access token.
    pub async fn token(&self, request: TokenRequest) -> Result<reply::TokenReply, Error> {
        self.call(Request::Token(request)).await.and_then(answer::token)
    }

    /// The first half of a login: where to send the browser.
    pub async fn login_begin(&self, request: LoginBegin) -> Result<reply::LoginBegun, Error> {
        self.call(Request::LoginBegin(request)).await.and_then(answer::login_begun)
    }

    /// The second half of a login: who came. Repeating it within 60 seconds gives the same answer.
    pub async fn login_complete(&self, request: LoginComplete) -> Result<reply::LoggedIn, Error> {
        self.call(Request::LoginComplete(request)).await.and_then(answer::logged_in)
    }

    /// One page of the sessions that this process may see.
    pub async fn sessions(&self, request: SessionsRequest) -> Result<reply::SessionsPage, Error> {
        self.call(Request::Sessions(request)).await.and_then(answer::sessions)
    }

    /// Everything that this process may know of one session.
    pub async fn session(&self, session: SessionRef) -> Result<reply::SessionDetail, Error> {
        self.call(Request::Session(session)).await.and_then(answer::session)
    }

    /// Ends a session, here and at its provider.
    pub async fn logout(&self, session: SessionRef) -> Result<reply::LoggedOut, Error> {
        self.call(Request::Logout(session)).await.and_then(answer::logged_out)
    }

    /// How the daemon is doing.
    pub async fn status(&self) -> Result<reply::StatusReply, Error> {
        self.call(Request::Status).await.and_then(answer::status)
    }

    /// A valid access token of a session or of a service account, that is good for something in particular.
    pub async fn token_for(&self, request: TokenFor) -> Result<reply::TokenReply, Error> {
        self.call(Request::TokenFor(request)).await.and_then(answer::token)
    }

    /// Begins a login whose browser is on another device (RFC 8628).
    pub async fn device_begin(&self, request: DeviceBegin) -> Result<reply::DeviceBegun, Error> {
        self.call(Request::DeviceBegin(request)).await.and_then(answer::device_begun)
    }

    /// Waits for the user of such a login; [`Code::TryLater`](crate::Code::TryLater) says that they have not come yet.
    pub async fn device_wait(&self, request: DeviceWait) -> Result<reply::LoggedIn, Error> {
        self.call(Request::DeviceWait(request)).await.and_then(answer::logged_in)
    }

    /// What happened to a session, the newest first.
    pub async fn history(&self, request: HistoryRequest) -> Result<reply::HistoryPage, Error> {
        self.call(Request::History(request)).await.and_then(answer::history)
    }

    /// Who this process is to the daemon.
    pub async fn who_am_i(&self) -> Result<reply::Identity, Error> {
        self.call(Request::WhoAmI).await.and_then(answer::identity)
    }

    /// Whether somebody may do something, and why.
    pub async fn explain(&self, request: Explain) -> Result<reply::Explanation, Error> {
        self.call(Request::Explain(request)).await.and_then(answer::explanation)
    }

    /// The providers that this process may know of.
    pub async fn providers(&self) -> Result<reply::ProvidersReply, Error> {
        self.call(Request::Providers).await.and_then(answer::providers)
    }

    /// Whether a provider works. It can take a minute.
    pub async fn provider_test(&self, provider: ProviderName) -> Result<reply::ProviderReport, Error> {
        self.call(Request::ProviderTest(provider)).await.and_then(answer::provider_report)
    }

    /// Everything that is counted, as `OpenMetrics` text.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.call(Request::Metrics).await.and_then(answer::metrics)
    }

    /// The keys of the store: where the identity came from, which epochs there are, how far a rotation is.
    pub async fn keys(&self) -> Result<reply::KeysReply, Error> {
        self.call(Request::KeysShow).await.and_then(answer::keys)
    }

    /// Begins a new epoch of the record keys, and returns its number. Everything is sealed in it in the background.
    pub async fn keys_rotate(&self) -> Result<u32, Error> {
        self.call(Request::KeysRotate).await.and_then(answer::keys_rotating)
    }

    /// Opens the keyring of a daemon that has lost its identity.
    pub async fn keys_recover(&self, request: KeysRecover) -> Result<reply::KeysRecovered, Error> {
        self.call(Request::KeysRecover(request)).await.and_then(answer::keys_recovered)
    }

    /// What the store holds and how much room it takes.
    pub async fn store_stats(&self) -> Result<reply::StoreStats, Error> {
        self.call(Request::StoreStats).await.and_then(answer::store_stats)
    }

    /// One page of the check of the store. The next one begins where it says.
    pub async fn store_verify(&self, request: StoreVerify) -> Result<reply::VerifyPage, Error> {
        self.call(Request::StoreVerify(request)).await.and_then(answer::verify_page)
    }

    /// Ends the quarantine of the refresh tokens of a store that was put back.
    pub async fn accept_rollback(&self) -> Result<reply::RollbackAccepted, Error> {
        self.call(Request::AcceptRollback).await.and_then(answer::rollback_accepted)
    }

    /// Erases somebody, or one session; or asks how far that is. It goes on by itself: ask until the stage is
    /// [`Done`](reply::ErasureStage::Done) or [`Rekeying`](reply::ErasureStage::Rekeying).
    pub async fn erase(&self, request: Erase) -> Result<reply::Erasure, Error> {
        self.call(Request::Erase(request)).await.and_then(answer::erasure)
    }

    async fn call(&self, request: Request) -> Result<Reply, Error> {
        let shared = &self.connection.shared;
        let (id, arrival) = shared.send(&request)?;
        let _forgotten_when_dropped = Forget { shared, id };
        match tokio::time::timeout(patience(&request, self.timeout), arrival).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(shared.lock().broken.clone().unwrap_or(Broken::Disconnected).into()),
            Err(_) => Err(Error::TimedOut),
        }
    }
}

async fn wait_for_place(path: &Path, timeout: Duration) -> Result<UnixStream, Error> {
    let owned = path.to_owned();
    let connecting = tokio::task::spawn_blocking(move || connect::connect(&owned, timeout));
    let stream = connecting.await.map_err(|_| Error::Disconnected)??;
    let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    ready.map_err(|error| Error::connecting(path, error))
}

/// What ends with the last clone of a client.
struct Connection {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Connection {
    fn over(stream: UnixStream) -> Self {
        let shared = Arc::new(Shared { stream, state: Mutex::default(), wake: Notify::new() });
        #[expect(clippy::disallowed_methods, reason = "a library has no tracker; the task ends with its connection")]
        let task = tokio::spawn(Arc::clone(&shared).serve());
        Self { shared, task }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    stream: UnixStream,
    state: Mutex<State>,
    /// Tells the task that there is something in `unsent`.
    wake: Notify,
}

#[derive(Default)]
struct State {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    unsent: VecDeque<Zeroizing<Vec<u8>>>,
    /// Bytes of the first of `unsent` that are out already.
    sent_of_first: usize,
    broken: Option<Broken>,
}

impl Shared {
    /// Sends a request, or leaves it to the task. Never waits.
    fn send(&self, request: &Request) -> Result<(u64, oneshot::Receiver<Result<Reply, Error>>), Error> {
        let mut state = self.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone().into());
        }
        if state.unsent.len() >= MAX_UNSENT {
            return Err(Error::TimedOut);
        }
        let id = state.last_id + 1;
        let bytes = frame(id, request, state.last_id == 0)?;
        state.last_id = id;
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(id, sender);
        state.unsent.push_back(bytes);
        // An error shows itself to the task, which reads what the daemon may have said before it hung up.
        if !matches!(self.flush(&mut state), Ok(true)) {
            self.wake.notify_one();
        }
        Ok((id, receiver))
    }

    /// Writes what the socket takes. Says whether that was all.
    fn flush(&self, state: &mut State) -> io::Result<bool> {
        while let Some(first) = state.unsent.front() {
            match self.stream.try_write(&first[state.sent_of_first..]) {
                Ok(count) if state.sent_of_first + count < first.len() => state.sent_of_first += count,
                Ok(_) => {
                    state.unsent.pop_front();
                    state.sent_of_first = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The task: moves bytes until the connection ends, and tells everyone who waits why.
    async fn serve(self: Arc<Self>) {
        let mut inbox = Inbox::new();
        let broken = loop {
            if let Err(broken) = self.turn(&mut inbox).await {
                break broken;
            }
        };
        let mut state = self.lock();
        state.broken = Some(broken);
        state.unsent.clear();
        // Dropping the senders wakes the callers, which then find `broken`.
        state.waiting.clear();
    }

    async fn turn(&self, inbox: &mut Inbox) -> Result<(), Broken> {
        let interest =
            if self.lock().unsent.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        tokio::select! {
            ready = self.stream.ready(interest) => ready.map_err(|_| Broken::Disconnected)?,
            () = self.wake.notified() => return Ok(()),
        };
        let sent = self.flush(&mut self.lock());
        if sent.is_err() {
            // The daemon hung up, which is readable too: what it said before may explain why.
            self.stream.readable().await.map_err(|_| Broken::Disconnected)?;
        }
        self.receive(inbox)?;
        sent.map(drop).map_err(|_| Broken::Disconnected)
    }

    /// Reads and hands out all that is there.
    fn receive(&self, inbox: &mut Inbox) -> Result<(), Broken> {
        loop {
            match self.stream.try_read(inbox.space()) {
                Ok(0) => return Err(Broken::Disconnected),
                Ok(count) => inbox.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Broken::Disconnected),
            }
            while let Some((id, reply)) = inbox.next()? {
                self.hand_out(id, reply);
            }
        }
    }

    fn hand_out(&self, id: u64, reply: Result<Reply, ProtocolError>) {
        let waiting = self.lock().waiting.remove(&id);
        if let Some(caller) = waiting {
            // A caller that is gone does not want it any more.
            drop(caller.send(reply.map_err(Error::from)));
        }
    }

    /// A panic elsewhere cannot leave the state half changed: every change under the lock is complete before it can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the id of a call when the call ends, however it ends.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.id);
    }
}
