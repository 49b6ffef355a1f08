//! The socket: listening, who the peer is, and the loop of a connection. No business rules.

mod connection;
mod guests;
mod input;
mod listener;
mod peer;

use std::sync::Arc;

use interprocess::local_socket::traits::tokio::Listener as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::Service;

pub use listener::{ListenError, Listener, listen};

/// Pause after a failed accept, so that running out of descriptors does not become a busy loop.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Accepts peers until `stop`; each connection is a task of its own.
pub async fn serve(listener: Listener, service: Arc<Service>, tasks: TaskTracker, stop: CancellationToken) {
    let guests = guests::Guests::default();
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
        let peer = match peer::identify(stream.inner()) {
            Ok(peer) => Arc::new(peer),
            Err(error) => {
                tracing::warn!(%error, "a peer could not be identified and was sent away");
                continue;
            }
        };
        let Some(guest) = guests.admit(peer.uid) else {
            tracing::warn!(%peer, "a peer has too many connections and was sent away");
            continue;
        };
        let (service, spawner, stop) = (Arc::clone(&service), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            let _guest = guest;
            connection::run(stream, peer, service, spawner, stop).await;
        });
    }
}
