//! The socket: listening, who the peer is, and the loop of a connection. No business rules.

mod connection;
mod guests;
mod input;
mod listener;
mod peer;
#[cfg(test)]
mod tests;

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

pub use listener::{ListenError, Listener, listen};
pub use peer::why_no_units;

/// Pause after a failed accept, so that running out of descriptors does not become a busy loop.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Accepts peers until `stop`; each connection is a task of its own.
pub async fn serve(listener: Listener, service: Arc<Service>, tasks: TaskTracker, stop: CancellationToken) {
    let (guests, nobody) = (Guests::default(), Nobody::of_host());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
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
        let (peer, guest) = match welcome(&stream, nobody, &guests, &service.in_force.load().rules) {
            Ok(welcome) => welcome,
            Err(problem) => {
                // No warning: anybody could fill the log with them.
                tracing::debug!(why = %problem, "a peer was turned away");
                if let Some(last) = guests.admit(Account::TurnedAway) {
                    tasks.spawn(async move {
                        let _guest = last;
                        connection::turn_away(stream, problem).await;
                    });
                }
                continue;
            }
        };
        let (service, spawner, stop) = (Arc::clone(&service), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            let (_guest, _counted) = (guest, service.meter.connected());
            connection::run(stream, peer, service, spawner, stop).await;
        });
    }
}

/// Who the peer is, if it can be served.
fn welcome(stream: &Stream, nobody: Nobody, guests: &Guests, rules: &Rules) -> Result<(Arc<Peer>, Guest), Problem> {
    let peer = peer::identify(stream.inner(), nobody)
        .map_err(|error| Problem::new(Code::Denied, format!("you cannot be identified: {error}")))?;
    let account = if concerns(rules, &peer) { Account::User(peer.uid) } else { Account::Strangers };
    let guest = guests.admit(account).ok_or_else(|| Problem {
        retry_after_ms: Some(1000),
        ..Problem::new(Code::TryLater, format!("{} has too many connections; close some", peer.name()))
    })?;
    Ok((Arc::new(peer), guest))
}
