//! One file per request: judge it, let the keeper do it, answer.
//!
//! Both the native protocol and any other front end come through [`Service::answer`]; nothing here knows sockets.

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod audit_tests;
mod backup;
mod device;
mod erase;
mod find;
mod history;
mod keys;
mod lock;
mod login;
mod logout;
mod meter;
mod metrics;
mod move_out;
mod policy;
mod providers;
mod purpose;
mod reach;
mod refuse;
mod rollback;
mod sessions;
mod status;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod token;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokenkeeper_protocol::codec::{CodecError, Encoded};
use tokenkeeper_protocol::{Code, Problem, Reply, Request, UnixSeconds};

use crate::audit::Tally;
use crate::domain::Peer;
use crate::keeper::{Eraser, Keeper};
use crate::policy::Rules;
use crate::vault::Rotation;

use self::meter::Kind;
pub use lock::{Attempt, Lock};
pub use meter::{Connected, Meter};
pub use status::Vitals;

/// The configuration in force, as far as requests depend on it.
#[derive(Debug, Default)]
pub struct InForce {
    /// Who may do what.
    pub rules: Rules,
    /// Whom backups are encrypted to.
    pub backup_recipients: Vec<String>,
    /// When it was read.
    pub loaded_at: UnixSeconds,
}

/// Everything a request needs.
pub struct Service {
    /// Keeps the sessions.
    pub keeper: Arc<Keeper>,
    /// The configuration in force; replaced as a whole.
    pub in_force: Arc<ArcSwap<InForce>>,
    /// Counts hand-outs and denials for the audit trail.
    pub tally: Arc<Tally>,
    /// What only the wiring knows of how the daemon is doing.
    pub vitals: Vitals,
    /// Counts requests and connections.
    pub meter: Arc<Meter>,
    /// The epochs of the record keys.
    pub rotation: Arc<Rotation>,
    /// Erases what is kept of users.
    pub eraser: Arc<Eraser>,
    /// Why nothing is served, while the keys cannot be opened.
    pub lock: Option<Lock>,
}

/// A reply, encoded or not.
pub enum Answer {
    /// To be encoded.
    Reply(Box<Reply>),
    /// Ready to be sent.
    Encoded(Arc<Encoded>),
}

impl Service {
    /// The answer that needs no wait: a live token from memory. Anything else is left to [`Service::answer`].
    pub fn answer_at_once(&self, peer: &Arc<Peer>, request: &Request) -> Option<Answer> {
        if self.keeper.is_leaving() {
            return None;
        }
        let answer = match request {
            Request::Token(token) => self.token_at_once(peer, token)?,
            Request::TokenFor(token) => self.token_for_at_once(peer, token)?,
            _ => return None,
        };
        self.meter.answered(Kind::of(request), None);
        Some(answer)
    }

    /// Answers a request.
    ///
    /// # Cancel safety
    /// Not safe to drop half way: run it as a task of its own. What it began at a provider goes on regardless.
    pub async fn answer(&self, peer: &Arc<Peer>, request: Request) -> Answer {
        let kind = Kind::of(&request);
        let answer = self.respond(peer, request).await;
        self.meter.answered(kind, answer.code());
        answer
    }

    /// What a request is told that cannot be served as things are: the keys do not open, or the store is at another host.
    fn refuse(&self, request: &Request) -> Option<Problem> {
        if self.lock.is_some() {
            return Lock::refuse(request);
        }
        let is_served = !self.keeper.is_leaving()
            || matches!(
                request,
                Request::Status
                    | Request::WhoAmI
                    | Request::Metrics
                    | Request::KeysShow
                    | Request::StoreStats
                    | Request::StoreVerify(_)
                    | Request::StoreMoveOut(_)
            );
        (!is_served).then(|| self.keeper.why_leaving().to_problem())
    }

    async fn respond(&self, peer: &Arc<Peer>, request: Request) -> Answer {
        if let Some(refused) = self.refuse(&request) {
            return refused.into();
        }
        // What such a request does is part of what leaves when the store is moved, or is not begun.
        let _work = match changes_sessions(&request).then(|| self.keeper.begin_work()).transpose() {
            Ok(work) => work,
            Err(leaving) => return leaving.to_problem().into(),
        };
        let answered = match request {
            Request::Token(request) => return self.token(peer, &request).await.unwrap_or_else(Answer::from),
            Request::TokenFor(request) => return self.token_for(peer, &request).await.unwrap_or_else(Answer::from),
            Request::LoginBegin(begin) => self.begin_login(peer, &begin).await.map(Reply::LoginBegun),
            Request::LoginComplete(complete) => self.complete_login(peer, &complete).await.map(Reply::LoggedIn),
            Request::Sessions(request) => self.sessions(peer, &request).await.map(Reply::Sessions),
            Request::Session(id) => self.session(peer, id).await.map(Reply::Session),
            Request::Logout(id) => self.logout(peer, id).await.map(Reply::LoggedOut),
            Request::Status => self.status(peer).await.map(Reply::Status),
            Request::WhoAmI => Ok(Reply::Identity(self.who_am_i(peer))),
            Request::Explain(request) => self.explain(peer, &request).await.map(Reply::Explanation),
            Request::Providers => Ok(Reply::Providers(self.providers(peer))),
            Request::ProviderTest(name) => self.test_provider(peer, &name).await.map(Reply::ProviderReport),
            Request::DeviceBegin(begin) => self.begin_device_login(peer, &begin).await.map(Reply::DeviceBegun),
            Request::DeviceWait(wait) => self.wait_for_device_login(peer, &wait).await.map(Reply::LoggedIn),
            Request::History(request) => self.history(peer, &request).await.map(Reply::History),
            Request::StoreStats => self.store_stats(peer).await.map(Reply::StoreStats),
            Request::StoreVerify(request) => self.verify_store(peer, &request).await.map(Reply::VerifyPage),
            Request::StoreBackup => Err(store::needs_a_stream()),
            Request::Metrics => self.metrics(peer).await.map(Reply::Metrics),
            Request::KeysShow => self.show_keys(peer).await.map(Reply::Keys),
            Request::KeysRotate => self.rotate_keys(peer).await.map(Reply::KeysRotating),
            Request::KeysRecover(request) => self.recover_keys(peer, request).await.map(Reply::KeysRecovered),
            Request::StoreMoveOut(step) => self.move_out_step(peer, step).await.map(Reply::MovedOut),
            Request::AcceptRollback => self.accept_rollback(peer).await.map(Reply::RollbackAccepted),
            Request::Erase(request) => self.erase(peer, &request).await.map(Reply::Erasure),
        };
        answered.map_or_else(Answer::from, |reply| Answer::Reply(Box::new(reply)))
    }
}

/// Whether a request is one whose end is a change of a session.
fn changes_sessions(request: &Request) -> bool {
    matches!(request, Request::LoginBegin(_) | Request::LoginComplete(_) | Request::DeviceBegin(_) | Request::Logout(_))
}

impl Answer {
    /// The answer to bytes that are no request.
    pub fn to_undecodable(error: CodecError) -> Self {
        let code = match error {
            CodecError::UnknownType(_) => Code::Unsupported,
            CodecError::Malformed(_) | CodecError::TooLarge(_) => Code::BadRequest,
        };
        Self::from(Problem::new(code, error.to_string()))
    }

    /// What is wrong, if something is.
    fn code(&self) -> Option<Code> {
        match self {
            Self::Reply(reply) => match &**reply {
                Reply::Problem(problem) => Some(problem.code),
                _ => None,
            },
            Self::Encoded(_) => None,
        }
    }

    /// The bytes of the answer.
    pub fn encoded(self) -> Arc<Encoded> {
        match self {
            Self::Encoded(encoded) => encoded,
            Self::Reply(reply) => Arc::new(reply.encode().unwrap_or_else(|error| {
                let problem = match *reply {
                    Reply::Providers(_) => Problem::new(
                        Code::Unsupported,
                        "there are too many providers for one answer at this socket; that of HTTP has room: GET /v1/providers",
                    ),
                    _ => Problem::new(Code::Internal, format!("the answer cannot be sent: {error}")),
                };
                Reply::Problem(problem).encode().unwrap_or_default()
            })),
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::Reply(Box::new(Reply::Problem(problem)))
    }
}
