//! Metrics over TCP on loopback, for monitoring that cannot speak to a Unix socket. Off unless the configuration asks for it.
//!
//! Nobody is identified here, so nothing else is answered: whoever can reach the address may read the metrics, and they name no
//! user, no session and no peer. A web page must not read even those, so the host has to be named by its address.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokenkeeper_protocol::{Code, Reply};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Answer};
use super::connection::{FAREWELL, server};
use super::guard;
use super::patient::Patient;
use super::problem::Failure;
use crate::command::Service;
use crate::ipc::ACCEPT_PAUSE;

/// Connections at a time: many more than there are monitoring systems. Anybody here can take them, so nobody keeps one: each is
/// for one answer, and for no longer than that takes.
const CONNECTIONS: usize = 16;
/// How long whoever has connected may take to ask.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection lasts in all: longer than monitoring waits for its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The only path.
const PATH: &str = "/metrics";

/// Serves metrics until `stop`.
pub(in crate::ipc) async fn serve(
    listener: &TcpListener,
    service: Arc<Service>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Those who find no room are hung up on.
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        let (service, stop) = (Arc::clone(&service), stop.clone());
        tasks.spawn(async move {
            let _seat = seat;
            run(stream, &service, &stop).await;
        });
    }
}

async fn run(stream: TcpStream, service: &Arc<Service>, stop: &CancellationToken) {
    let serve = service_fn(|request| async move {
        let answered = answer(service, &request).await;
        Ok::<_, Infallible>(answered.unwrap_or_else(|failure| answer::to_failure(&failure)))
    });
    let mut builder = server();
    builder.keep_alive(false).header_read_timeout(HEAD_PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Patient::new(stream)), serve));
    let ended = tokio::select! {
        ended = timeout(PATIENCE, connection.as_mut()) => ended.unwrap_or(Ok(())),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for metrics ended early");
    }
}

async fn answer(service: &Arc<Service>, request: &Request<Incoming>) -> Result<Answer, Failure> {
    guard::check_local(request.headers())?;
    if request.uri().path() != PATH {
        let words = "there is nothing at this path; metrics are at /metrics, and everything else at the Unix socket";
        return Err(Failure::with(StatusCode::NOT_FOUND, Code::NotFound, words));
    }
    if request.method() != Method::GET {
        let failure = Failure::with(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "this path takes GET only");
        return Err(Failure { allow: Some(Method::GET.to_string()), ..failure });
    }
    let text = service.metrics_text().await?;
    Ok(answer::to_reply(&Reply::Metrics(text), service.keeper.clock().now()))
}
