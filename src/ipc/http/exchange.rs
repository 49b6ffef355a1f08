//! One request and its answer.
//!
//! What is not answered from memory runs as a task of the daemon, so that a peer which hangs up cancels nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use tokenkeeper_protocol::{Code, Problem, Reply, Request};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Answer};
use super::problem::Failure;
use super::request::{Call, Told, call};
use super::{content, guard, route};
use crate::command::{self, Service};
use crate::domain::Peer;

/// What every exchange of one connection needs.
pub(super) struct Host {
    pub(super) peer: Arc<Peer>,
    pub(super) service: Arc<Service>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    under_way: AtomicUsize,
}

impl Host {
    pub(super) fn new(peer: Arc<Peer>, service: Arc<Service>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { peer, service, tasks, stop, under_way: AtomicUsize::new(0) }
    }

    /// Whether an answer is owed.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: hyper::Request<Incoming>) -> Answer {
        let _owed = Owed::new(&self.under_way);
        self.try_answer(request).await.unwrap_or_else(|failure| answer::to_failure(&failure))
    }

    async fn try_answer(&self, request: hyper::Request<Incoming>) -> Result<Answer, Failure> {
        let (head, body) = request.into_parts();
        guard::check(&head.headers)?;
        let (endpoint, named) = route::find(&head.method, head.uri.path())?;
        let body = content::read(&head.headers, body, &self.stop).await?;
        match call(endpoint, &Told { named, query: head.uri.query(), body: &body })? {
            Call::Ask(request) => Ok(answer::to_reply(&self.ask(request).await, self.service.keeper.clock().now())),
            Call::Alive => Ok(answer::well("alive")),
            Call::Ready => self.service.ready().map(|()| answer::well("ready")).map_err(Failure::from),
            Call::Document => Ok(answer::document()),
        }
    }

    async fn ask(&self, request: Request) -> Reply {
        if let Some(answer) = self.service.answer_at_once(&self.peer, &request) {
            return reply(answer);
        }
        let (service, peer) = (Arc::clone(&self.service), Arc::clone(&self.peer));
        let (tell, told) = oneshot::channel();
        self.tasks.spawn(async move {
            // A connection that is gone has nobody to tell.
            let _ = tell.send(service.answer(&peer, request).await);
        });
        match told.await {
            Ok(answer) => reply(answer),
            Err(_) => internal("the daemon failed inside; its log says more"),
        }
    }
}

/// The reply in an answer, whichever form it has.
fn reply(answer: command::Answer) -> Reply {
    match answer {
        command::Answer::Reply(reply) => *reply,
        command::Answer::Encoded(encoded) => {
            Reply::decode(encoded.0, &encoded.1).unwrap_or_else(|_| internal("an answer of the daemon cannot be read"))
        }
    }
}

fn internal(words: &str) -> Reply {
    Reply::Problem(Problem::new(Code::Internal, words))
}

/// Counts an answer for as long as it is owed, also if the connection ends before.
struct Owed<'a>(&'a AtomicUsize);

impl<'a> Owed<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
