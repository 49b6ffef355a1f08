//! The other end of the socket: a thread that serves one connection as a test wants it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses what it needs")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokenkeeper_client::{Selector, TokenRequest, UnixSeconds, Version};
use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header};
use tokenkeeper_protocol::reply::TokenReply;
use tokenkeeper_protocol::{Reply, Request};

/// Listens in a directory of its own.
pub struct Server {
    dir: TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Gives the first connection to `serve`.
    pub fn start(serve: impl FnOnce(Connection) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || serve(Connection(listener.accept().unwrap().0)));
        Self { dir, thread: Some(thread) }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Waits for `serve` to end, and fails if it failed.
    pub fn finish(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One accepted connection.
pub struct Connection(pub UnixStream);

impl Connection {
    /// Reads the client's hello and answers with this version's.
    pub fn greet(mut self) -> Self {
        let mut hello = [0; HELLO_LEN];
        self.0.read_exact(&mut hello).unwrap();
        assert_eq!(Version::from_hello(hello), Some(Version::CURRENT));
        self.write(&Version::CURRENT.hello());
        self
    }

    pub fn request(&mut self) -> (u64, Request) {
        let mut header = [0; HEADER_LEN];
        self.0.read_exact(&mut header).unwrap();
        let header = Header::from_bytes(header).unwrap();
        let mut payload = vec![0; header.length as usize];
        self.0.read_exact(&mut payload).unwrap();
        (header.id, Request::decode(header.kind, &payload).unwrap())
    }

    pub fn reply(&mut self, id: u64, reply: &Reply) {
        self.write(&reply_bytes(id, reply));
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Waits until the client has hung up.
    pub fn wait_for_end(&mut self) {
        assert_eq!(self.0.read(&mut [0; 1]).unwrap(), 0, "the client said something more");
    }
}

pub fn reply_bytes(id: u64, reply: &Reply) -> Vec<u8> {
    let (kind, payload) = reply.encode().unwrap();
    let header = Header { length: u32::try_from(payload.len()).unwrap(), kind, flags: 0, id };
    [header.to_bytes().as_slice(), &payload].concat()
}

/// A request for a token of `provider`.
pub fn asking(provider: &str) -> TokenRequest {
    let selector = Selector::Only { provider: provider.parse().unwrap(), user: None };
    TokenRequest { selector, min_valid_seconds: None, timeout_ms: None }
}

/// The token that the provider asked for would give: its name.
pub fn token_for(request: &Request) -> Reply {
    let Request::Token(TokenRequest { selector: Selector::Only { provider, .. }, .. }) = request else {
        panic!("not a token request: {request:?}");
    };
    Reply::Token(TokenReply {
        session: "7k3vq2mx".parse().unwrap(),
        access_token: provider.as_str().into(),
        token_type: "Bearer".to_owned(),
        expires_at: UnixSeconds(1_700_000_000),
        scope: String::new(),
    })
}

/// Where nobody listens.
pub fn nowhere() -> &'static Path {
    Path::new("/nonexistent/tokenkeeper.sock")
}
