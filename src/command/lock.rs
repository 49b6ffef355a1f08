//! A service whose keys cannot be opened: it tells why, and takes an identity that opens them.
//!
//! Invariant: such a service stands on an empty store in memory (the wiring sees to that), so there is nothing that it could hand
//! out or write. What is refused here is refused to say why.

use std::sync::{Mutex, PoisonError};

use tokenkeeper_protocol::reply::KeysRecovered;
use tokenkeeper_protocol::request::{Explain, ExplainOn};
use tokenkeeper_protocol::{Code, Problem, Request, Secret};
use tokio::sync::{mpsc, oneshot};

/// Why the keys cannot be opened, and the way to whoever tries to.
pub struct Lock {
    reason: Mutex<String>,
    attempts: mpsc::Sender<Attempt>,
}

/// An identity that somebody brought.
pub struct Attempt {
    /// The identity.
    pub identity: Secret,
    /// What came of it: what is left to do, or why it opens nothing.
    pub answer: oneshot::Sender<Result<KeysRecovered, String>>,
}

impl Lock {
    /// Locked for this reason; attempts to open it come out at the other end.
    pub fn new(reason: String) -> (Self, mpsc::Receiver<Attempt>) {
        let (attempts, arriving) = mpsc::channel(1);
        (Self { reason: Mutex::new(reason), attempts }, arriving)
    }

    /// Locked for another reason from now on.
    pub fn set_reason(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// What is wrong, and the way back, in one sentence.
    pub(super) fn complaint(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "the keys cannot be opened: {reason}. Mend that and run `systemctl reload tokenkeeperd`, or run `tokenkeeper keys recover` with a recovery identity"
        )
    }

    /// What a request is told that needs the store.
    pub(super) fn refuse(request: &Request) -> Option<Problem> {
        let needs_no_store = match request {
            Request::Status | Request::WhoAmI | Request::Metrics | Request::KeysRecover(_) => true,
            Request::Explain(Explain { on, .. }) => !matches!(on, ExplainOn::Session(_)),
            _ => false,
        };
        (!needs_no_store).then(|| {
            let next = "nothing is served until an administrator has seen to it; `tokenkeeper status` tells more";
            Problem::new(Code::Misconfigured, format!("the daemon cannot open its keys: {next}"))
        })
    }

    /// Tries to open it.
    pub(super) async fn attempt(&self, identity: Secret) -> Result<KeysRecovered, String> {
        let gone = || "the daemon is busy with another attempt, or stops; try again".to_owned();
        let (answer, answered) = oneshot::channel();
        self.attempts.send(Attempt { identity, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
