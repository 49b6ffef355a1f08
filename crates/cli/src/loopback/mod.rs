//! The loopback listener of a login (RFC 8252 section 7.3): open only while one person logs in, for one callback.
//!
//! It serves two things: a start page whose random address is good for one visit and leads to the provider, so that `state` stands
//! in no process list; and the callback. Invariant: only a callback with the `state` of this login ends the waiting.

mod authorize;
mod head;
mod page;
mod visitor;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};
use std::thread;
use std::time::Duration;

use tokenkeeper_client::Secret;

pub(crate) use authorize::AuthorizeUrl;

use crate::failure::Failure;
use visitor::Flow;

/// Browsers open a handful of connections; strangers on the same machine may hold no more than this.
const MAX_VISITORS: usize = 64;

/// A port on 127.0.0.1 that is held, and not served yet.
pub(crate) struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    /// Takes `port`, or any if it is 0.
    pub(crate) fn bind(port: u16) -> Result<Self, Failure> {
        let listen = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            let port = listener.local_addr()?.port();
            Ok(Self { listener, port })
        };
        listen().map_err(|source| Failure::Listen { port, source })
    }

    /// Where the provider sends the browser back to.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Begins to serve, until the process ends.
    pub(crate) fn serve(self, url: &AuthorizeUrl) -> Result<Waiting, Failure> {
        let (sender, receiver) = channel();
        let start_path = format!("/start/{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>()));
        let start_url = format!("http://127.0.0.1:{}{start_path}", self.port);
        let flow = Flow {
            url: url.clone(),
            start_path,
            started: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            sender,
        };
        let port = self.port;
        let serving = thread::Builder::new().spawn(move || accept(&self.listener, &Arc::new(flow)));
        serving.map_err(|source| Failure::Listen { port, source })?;
        Ok(Waiting { start_url, receiver })
    }
}

/// Gives every visitor a thread, so that a silent one keeps nobody else waiting.
fn accept(listener: &TcpListener, flow: &Arc<Flow>) {
    let visitors = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if visitors.fetch_add(1, Ordering::Relaxed) >= MAX_VISITORS {
            visitors.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (flow, counted) = (Arc::clone(flow), Counted(Arc::clone(&visitors)));
        let served = thread::Builder::new().spawn(move || {
            flow.receive(stream);
            drop(counted);
        });
        // No thread could be had: the connection closes, and the browser tries again.
        drop(served);
    }
}

/// One visitor less when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener that is served.
pub(crate) struct Waiting {
    start_url: String,
    receiver: Receiver<Callback>,
}

impl Waiting {
    /// Leads to the provider, once.
    pub(crate) fn start_url(&self) -> String {
        self.start_url.clone()
    }

    /// Waits for the browser to come back.
    pub(crate) fn wait(&self, patience: Duration) -> Result<Callback, Failure> {
        self.receiver.recv_timeout(patience).map_err(|_| Failure::LoginExpired)
    }
}

/// The browser came back and waits for a page.
pub(crate) struct Callback {
    query: Secret,
    stream: TcpStream,
}

/// What became of the login.
pub(crate) enum Outcome {
    /// The daemon has a session.
    LoggedIn,
    /// It has none, for this reason.
    Failed(String),
}

impl Callback {
    /// The whole query, without `?`.
    pub(crate) fn query(&self) -> &Secret {
        &self.query
    }

    /// Shows the person what became of it. A browser that is gone by now misses nothing but this page.
    pub(crate) fn answer(self, outcome: &Outcome) {
        let page = match outcome {
            Outcome::LoggedIn => page::page("200 OK", "You are logged in.", "You may close this window."),
            Outcome::Failed(why) => page::page("400 Bad Request", "The login did not succeed.", why),
        };
        visitor::send(self.stream, &page);
    }
}

#[cfg(test)]
mod tests;
