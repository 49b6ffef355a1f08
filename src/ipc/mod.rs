//! The sockets: listening, who the peer is, and the loop of a connection, in the native protocol and in HTTP. No business rules.

mod connection;
mod guests;
mod http;
mod input;
mod listener;
mod peer;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::sync::Arc;

use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use tokenkeeper_protocol::{Code, Problem};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::guests::{Account, Guest, Guests};
use crate::command::Service;
use crate::config::Nobody;
use crate::domain::Peer;
use crate::policy::{Rules, concerns};

pub use listener::{ListenError, Listener, Sockets, listen};
pub use peer::why_no_units;

/// Pause after a failed accept, so that running out of descriptors does not become a busy loop.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What is spoken on a socket.
#[derive(Clone, Copy)]
enum Language {
    Native,
    Http,
}

/// Accepts peers at all sockets until `stop`; each connection is a task of its own.
pub async fn serve(sockets: Arc<Sockets>, service: Arc<Service>, tasks: TaskTracker, stop: CancellationToken) {
    let (guests, nobody) = (Guests::default(), Nobody::of_host());
    let reception = Reception { guests, nobody, service, tasks, stop };
    let http = async {
        if let Some(listener) = &sockets.http {
            reception.accept(listener, Language::Http).await;
        }
    };
    let metrics = async {
        if let Some(listener) = &sockets.metrics {
            let (service, tasks, stop) = reception.handles();
            http::serve_metrics(listener, service, tasks, stop).await;
        }
    };
    tokio::join!(reception.accept(&sockets.native, Language::Native), http, metrics);
}

/// Where peers come in, whichever socket they choose: they are counted together.
struct Reception {
    guests: Guests,
    nobody: Nobody,
    service: Arc<Service>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Reception {
    async fn accept(&self, listener: &Listener, language: Language) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match welcome(&stream, self.nobody, &self.guests, &self.service.in_force.load().rules) {
                Ok((peer, guest)) => self.receive(stream, language, peer, guest),
                Err(problem) => self.turn_away(stream, language, problem),
            }
        }
    }

    fn receive(&self, stream: Stream, language: Language, peer: Arc<Peer>, guest: Guest) {
        let (service, tasks, stop) = self.handles();
        self.tasks.spawn(async move {
            let (_guest, _counted) = (guest, service.meter.connected());
            match language {
                Language::Native => connection::run(stream, peer, service, tasks, stop).await,
                Language::Http => http::run(stream.into(), peer, service, tasks, stop).await,
            }
        });
    }

    fn handles(&self) -> (Arc<Service>, TaskTracker, CancellationToken) {
        (Arc::clone(&self.service), self.tasks.clone(), self.stop.clone())
    }

    fn turn_away(&self, stream: Stream, language: Language, problem: Problem) {
        // No warning: anybody could fill the log with them.
        tracing::debug!(why = %problem, "a peer was turned away");
        if let Some(last) = self.guests.admit(Account::TurnedAway) {
            self.tasks.spawn(async move {
                let _guest = last;
                match language {
                    Language::Native => connection::turn_away(stream, problem).await,
                    Language::Http => http::turn_away(stream.into(), problem).await,
                }
            });
        }
    }
}

/// Who the peer is, if it can be served.
fn welcome(stream: &Stream, nobody: Nobody, guests: &Guests, rules: &Rules) -> Result<(Arc<Peer>, Guest), Problem> {
    let later = |message| Problem { retry_after_ms: Some(1000), ..Problem::new(Code::TryLater, message) };
    let peer = peer::identify(stream.inner(), nobody).map_err(|error| {
        let message = format!("you cannot be identified: {error}");
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::NotFound => Problem::new(Code::Denied, message),
            _ => later(message),
        }
    })?;
    let account = if concerns(rules, &peer) { Account::User(peer.uid) } else { Account::Strangers };
    let too_many = || later(format!("{} has too many connections; close some", peer.name()));
    let guest = guests.admit(account).ok_or_else(too_many)?;
    Ok((Arc::new(peer), guest))
}
