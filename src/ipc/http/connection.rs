//! One connection: requests one after the other, for as long as both sides want.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokenkeeper_protocol::Problem;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer;
use super::exchange::Host;
use super::patient::Patient;
use super::problem::Failure;
use crate::command::Service;
use crate::domain::Peer;

/// How long a peer may take for the head of its next request, counted from the answer before. Longer than clients keep an idle
/// connection (90 s in Go and hyper), so that it is they who hang up and no request gets lost on the way.
const HEAD_PATIENCE: Duration = Duration::from_secs(100);
/// Bytes of a head, and of a body that wait to be read.
const BUFFER: usize = 32 * 1024;
/// When the daemon stops, a peer has this long to take an answer that is ready.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
/// A peer that is turned away has this long to hear why.
const TURN_AWAY_PATIENCE: Duration = Duration::from_secs(2);

/// Serves a connection until the peer leaves, breaks the protocol, or the daemon stops.
pub(in crate::ipc) async fn run(
    stream: UnixStream,
    peer: Arc<Peer>,
    service: Arc<Service>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let host = Host::new(peer, service, tasks, stop.clone());
    let serve = service_fn(|request| async { Ok::<_, Infallible>(host.answer(request).await) });
    let mut connection = pin!(server().serve_connection(TokioIo::new(Patient::new(stream)), serve));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            if host.is_busy() {
                connection.await
            } else {
                timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %host.peer, %error, "a connection ended early");
    }
}

/// Tells a peer that it cannot be served at all, and why.
pub(in crate::ipc) async fn turn_away(stream: UnixStream, problem: Problem) {
    let failure = Failure::from(problem).closing();
    let refuse = service_fn(|_| async { Ok::<_, Infallible>(answer::to_failure(&failure)) });
    let farewell = server().keep_alive(false).serve_connection(TokioIo::new(stream), refuse);
    // A peer that is not there to hear it needs no telling.
    let _ = timeout(TURN_AWAY_PATIENCE, farewell).await;
}

/// Without `pipeline_flush`: that would gather answers without a limit, in buffers that keep copies of tokens.
pub(super) fn server() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER)
        // A peer that has said all it wants to say is still answered.
        .half_close(true);
    builder
}
