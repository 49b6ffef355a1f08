//! The native protocol by hand, for what the command line would never send.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::reply::{DeviceBegun, LoggedIn, TokenReply};
use tokenkeeper_protocol::request::{
    DeviceBegin, DeviceWait, Holder, LoginBegin, LoginComplete, Selector, TokenFor, TokenRequest,
};
use tokenkeeper_protocol::{LoginId, Problem, Reply, Request, SessionRef};

use super::Home;
use super::browser::Browser;
use super::deadline::PATIENCE;

/// Where services under test are called back.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";

/// One connection.
pub(crate) struct Wire {
    stream: UnixStream,
    last_id: u64,
}

impl Wire {
    /// Connects and exchanges hellos.
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::try_connect(socket).unwrap_or_else(|error| panic!("cannot talk at {}: {error}", socket.display()))
    }

    /// The same, for when the daemon may be gone at any moment.
    pub(crate) fn try_connect(socket: &Path) -> io::Result<Self> {
        let mut this = Self::silent(socket)?;
        this.stream.write_all(&Version::CURRENT.hello())?;
        let mut hello = [0; HELLO_LEN];
        this.stream.read_exact(&mut hello)?;
        let version = Version::from_hello(hello).ok_or_else(|| io::Error::other("not a hello of tokenkeeper"))?;
        assert_eq!(version.major, Version::CURRENT.major);
        Ok(this)
    }

    /// Connects and says nothing.
    pub(crate) fn silent(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, last_id: 0 })
    }

    /// Sends bytes as they are. The other side may have hung up already: what it said before is read afterwards.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close_sending(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Reads exactly so many bytes.
    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).expect("the daemon answers");
    }

    /// Reads until the daemon hangs up.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the daemon does not hang up; it sent {bytes:?}")
            }
            _ => bytes,
        }
    }

    /// Sends a frame, and returns its id.
    pub(crate) fn send(&mut self, request: &Request) -> u64 {
        self.try_send(request).expect("the daemon listens")
    }

    pub(crate) fn try_send(&mut self, request: &Request) -> io::Result<u64> {
        let (kind, payload) = request.encode().expect("a request of the tests fits into a frame");
        self.last_id += 1;
        self.send_frame(kind, &payload)?;
        Ok(self.last_id)
    }

    /// Sends a frame of any type and payload under the last id.
    pub(crate) fn send_frame(&mut self, kind: u16, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a payload of the tests is short");
        let header = Header { length, kind, flags: 0, id: self.last_id };
        self.stream.write_all(&[&header.to_bytes(), payload].concat())
    }

    /// The next reply, whichever request it belongs to.
    pub(crate) fn receive(&mut self) -> (u64, Reply) {
        self.try_receive().expect("the daemon answers")
    }

    pub(crate) fn try_receive(&mut self) -> io::Result<(u64, Reply)> {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header)?;
        let header = Header::from_bytes(header).map_err(io::Error::other)?;
        let mut payload = vec![0; header.length as usize];
        self.stream.read_exact(&mut payload)?;
        let reply = Reply::decode(header.kind, &payload).map_err(io::Error::other)?;
        Ok((header.id, reply))
    }

    /// One request and its reply.
    pub(crate) fn ask(&mut self, request: &Request) -> Reply {
        self.try_ask(request).expect("the daemon answers")
    }

    pub(crate) fn try_ask(&mut self, request: &Request) -> io::Result<Reply> {
        let asked = self.try_send(request)?;
        let (answered, reply) = self.try_receive()?;
        assert_eq!(answered, asked, "a reply to something that was not asked");
        Ok(reply)
    }

    /// One request that must fail.
    pub(crate) fn problem(&mut self, request: &Request) -> Problem {
        match self.ask(request) {
            Reply::Problem(problem) => problem,
            other => panic!("a problem was expected, not {other:?}"),
        }
    }

    /// Begins a login with a code at `corp`.
    pub(crate) fn begin_device(&mut self) -> DeviceBegun {
        match self.ask(&begin_device(None)) {
            Reply::DeviceBegun(begun) => begun,
            other => panic!("the login did not begin: {other:?}"),
        }
    }

    /// Begins a login at `corp`; returns its id and where to send the browser.
    pub(crate) fn begin(&mut self) -> (LoginId, String) {
        match self.ask(&begin("corp")) {
            Reply::LoginBegun(begun) => (begun.login_id, begun.authorize_url.expose().to_owned()),
            other => panic!("the login did not begin: {other:?}"),
        }
    }
}

impl Wire {
    /// Logs a user in at a scripted provider, through its login page.
    pub(crate) fn log_in(&mut self, provider: &str, user: &str) -> LoggedIn {
        let Reply::LoginBegun(begun) = self.ask(&begin(provider)) else { panic!("the login did not begin") };
        let back = Browser::default().log_in_until(begun.authorize_url.expose(), user, CALLBACK);
        match self.ask(&complete(begun.login_id, &back)) {
            Reply::LoggedIn(logged_in) => logged_in,
            other => panic!("{user} is not logged in at {provider}: {other:?}"),
        }
    }
}

impl Home {
    /// What a peer gets that wants the token of the only session at `corp`.
    pub(crate) fn token_reply(&self, min_valid_seconds: Option<u32>) -> Reply {
        Wire::connect(&self.socket()).ask(&token("corp", min_valid_seconds))
    }
}

/// The token in a reply that has one.
#[track_caller]
pub(crate) fn access_token(reply: Reply) -> String {
    let Reply::Token(TokenReply { access_token, .. }) = reply else { panic!("no token: {reply:?}") };
    access_token.expose().to_owned()
}

/// The request that begins a login.
pub(crate) fn begin(provider: &str) -> Request {
    Request::LoginBegin(LoginBegin {
        provider: provider.parse().expect("the provider's name is well formed"),
        redirect_uri: CALLBACK.to_owned(),
        scopes: vec![],
        login_hint: None,
        device: Some("laptop".to_owned()),
        acr_values: vec![],
        replaces: None,
    })
}

/// The request that begins a login with a code at `corp`.
pub(crate) fn begin_device(replaces: Option<SessionRef>) -> Request {
    Request::DeviceBegin(DeviceBegin {
        provider: "corp".parse().expect("the provider's name is well formed"),
        scopes: vec![],
        device: Some("laptop".to_owned()),
        acr_values: vec![],
        replaces,
    })
}

/// The request that waits for the user of such a login.
pub(crate) fn wait_for_device(login_id: LoginId) -> Request {
    Request::DeviceWait(DeviceWait { login_id, timeout_ms: Some(25_000) })
}

/// The request that completes a login with the address that the browser was sent back to.
pub(crate) fn complete(login_id: LoginId, callback_url: &str) -> Request {
    let query = callback_url.split_once('?').map_or("", |(_, query)| query);
    Request::LoginComplete(LoginComplete { login_id, callback_query: query.into() })
}

/// The request for the token of the only session at `provider`.
pub(crate) fn token(provider: &str, min_valid_seconds: Option<u32>) -> Request {
    let provider = provider.parse().expect("the provider's name is well formed");
    let selector = Selector::Only { provider, user: None };
    Request::Token(TokenRequest { selector, min_valid_seconds, timeout_ms: None })
}

/// The request for the token of a service account, for these scopes.
pub(crate) fn account_token(name: &str, min_valid_seconds: Option<u32>, scope: Option<&str>) -> Request {
    let of = Holder::Account(name.parse().expect("the account's name is well formed"));
    let scope = scope.map(str::to_owned);
    Request::TokenFor(TokenFor { of, min_valid_seconds, timeout_ms: None, scope, resource: None })
}
