//! Asking a provider, again and again, whether the user of a device flow has come (RFC 8628 sections 3.4 and 3.5).
//!
//! One task of the daemon for each flow; a restart takes it up again. A session is opened by [`Keeper::admit`] as for any
//! login, and by the rules in force at that moment: whoever began it may be gone by then, so the flow holds who it was.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::LoginId;
use tokenkeeper_protocol::reply::LoggedIn;

use super::admit::Arrival;
use super::device::outcome;
use super::device_register::Pace;
use super::login::{REPEATABLE, failed, login_error};
use super::{Keeper, KeeperError, Look};
use crate::audit::What;
use crate::domain::{DeviceFailure, DeviceFlow, Peer, Way};
use crate::policy::{Action, Permit, Target};
use crate::provider::{DevicePoll, Grant, LoginFault, Provider, Turn};
use crate::vault::{PendingLogin, Versioned};

/// What came of one question.
pub(super) enum Asked {
    /// Nothing yet.
    Again,
    /// There is a session.
    LoggedIn,
    /// There will be none.
    Failed(KeeperError),
}

impl Keeper {
    /// Has a task of the daemon ask about a flow, unless one does already.
    pub(super) fn ask_from_now_on(self: &Arc<Self>, id: LoginId, login: &PendingLogin) {
        if self.stop.is_cancelled() {
            return;
        }
        let Some(over) = self.device_logins.take(id, login, self.clock.now()) else { return };
        let keeper = Arc::clone(self);
        self.tasks.spawn(async move {
            match keeper.ask_until_over(id).await {
                Ok(None) => {}
                Ok(Some(failure)) => drop(over.send_replace(Some(failure))),
                Err(error) => {
                    tracing::error!(%error, "a login with a code cannot be looked up; it is asked about again when somebody waits for it");
                }
            }
        });
    }

    /// Returns why it failed, if it did.
    async fn ask_until_over(&self, id: LoginId) -> Result<Option<KeeperError>, KeeperError> {
        let mut pace = Pace::default();
        while let Some(login) = self.vault.login(id)?
            && let Some(flow) = login.value.way.device()
            && outcome(&login.value).is_none()
        {
            pace.interval = pace.interval.max(Duration::from_secs(flow.interval.into()));
            // The end is told when it comes, not at the next question.
            let pause = pace.pause().min(login.value.expires_at.since(self.clock.now()));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
            // It is taken up again if the store stays.
            let Ok(_work) = self.begin_work() else { return Ok(None) };
            match self.ask(id, &login, flow, &mut pace).await {
                Asked::Again => {}
                Asked::LoggedIn => return Ok(None),
                Asked::Failed(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    /// One question, and everything that follows from the answer.
    pub(super) async fn ask(
        &self,
        id: LoginId,
        login: &Versioned<PendingLogin>,
        flow: &DeviceFlow,
        pace: &mut Pace,
    ) -> Asked {
        match self.try_ask(id, login, flow, pace).await {
            Ok(asked) => asked,
            Err(error) => {
                if let Err(unwritten) = self.note_end(id, login, flow, &error).await {
                    tracing::error!(error = %unwritten, "a login that failed could not be written down");
                }
                Asked::Failed(error)
            }
        }
    }

    /// An error is the end of the flow.
    async fn try_ask(
        &self,
        id: LoginId,
        login: &Versioned<PendingLogin>,
        flow: &DeviceFlow,
        pace: &mut Pace,
    ) -> Result<Asked, KeeperError> {
        let now = self.clock.now();
        if now >= login.value.expires_at {
            let trouble = pace.trouble.as_ref().map(|trouble| format!("; the last question failed: {trouble}"));
            return Err(failed(&format!("{}{}", LoginFault::DeviceExpired, trouble.unwrap_or_default())));
        }
        if let Err(error) = self.check_store() {
            // The provider keeps what it has for us, until we can keep it.
            pace.trouble = Some(error.to_string());
            return Ok(Asked::Again);
        }
        let provider = self.provider(&login.value.provider)?;
        // Nobody waits for this one answer: the next is as good, so that an open breaker holds.
        let pass = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Asked::Again),
            entered = provider.gate().enter(&self.clock, Turn::of_caller(login.value.expires_at)) => entered,
        };
        let pass = match pass {
            Ok(pass) => pass,
            Err(closed) => {
                pace.unanswered(closed.why, Some(closed.wait));
                return Ok(Asked::Again);
            }
        };
        let answer = provider.poll_device(flow, self.clock.now()).await;
        pass.came_back((&answer).into());
        match answer {
            DevicePoll::Pending => pace.answered(),
            DevicePoll::SlowDown => {
                pace.slow_down();
                self.note_interval(id, login, flow, pace.interval).await;
            }
            DevicePoll::Later { fault, retry_after } => pace.unanswered(fault.to_string(), retry_after),
            DevicePoll::Over(fault) => return Err(login_error(&login.value.provider, fault)),
            DevicePoll::Granted(grant) => {
                let opened = self.open(id, login, flow, &provider, &grant).await;
                if let Err(error) = opened {
                    self.discard(&provider, &grant.tokens).await;
                    return Err(match error {
                        KeeperError::StoreDown { .. } | KeeperError::Internal => failed(&error.to_string()),
                        other => other,
                    });
                }
                return Ok(Asked::LoggedIn);
            }
        }
        Ok(Asked::Again)
    }

    async fn open(
        &self,
        id: LoginId,
        login: &Versioned<PendingLogin>,
        flow: &DeviceFlow,
        provider: &Provider,
        grant: &Grant,
    ) -> Result<LoggedIn, KeeperError> {
        let permit = self.judge_again(&login.value, &flow.peer)?;
        let query = self.vault.callback_hash("");
        let arrival = Arrival { id, login, query, grant, peer: &flow.peer, settings: provider.settings() };
        self.admit(&permit, &arrival).await
    }

    /// The rules may have changed since the flow began, and so may the session that it renews.
    fn judge_again(&self, login: &PendingLogin, peer: &Peer) -> Result<Permit, KeeperError> {
        let (provider, name) = (&login.provider, peer.name());
        let permit = (self.judge)(peer, Action::Login, Target::Provider(provider))
            .map_err(|_| failed(&format!("no rule lets {name} log in at {provider} any more")))?;
        if let Some(replaced) = login.replaces {
            let may = |target| (self.judge)(peer, Action::Login, target).is_ok();
            let may = match self.look(replaced)? {
                Look::Live(live) => may(live.target()),
                Look::Dormant(session) => may(Target::of(&session)),
                Look::Absent => false,
            };
            if !may {
                return Err(failed(&format!("there is no session {replaced} any more that {name} may renew")));
            }
        }
        Ok(permit)
    }

    /// Remembers over a restart that the provider wants to be asked less often. If that fails, it says so again.
    async fn note_interval(&self, id: LoginId, login: &Versioned<PendingLogin>, flow: &DeviceFlow, interval: Duration) {
        let interval = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        let way = Way::Device(DeviceFlow { interval, ..flow.clone() });
        let mut change = self.vault.change(self.clock.now());
        let noted = match change.keep_login(id, login.version, &PendingLogin { way, ..login.value.clone() }) {
            Ok(_) => change.commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the interval of a login with a code could not be written down");
        }
    }

    /// Audits a login that failed, and remembers why for whoever waits for it.
    async fn note_end(
        &self,
        id: LoginId,
        login: &Versioned<PendingLogin>,
        flow: &DeviceFlow,
        error: &KeeperError,
    ) -> Result<(), KeeperError> {
        let (now, provider) = (self.clock.now(), login.value.provider.clone());
        let failure = Some(match error {
            KeeperError::LoginFailed { why } => DeviceFailure::Failed(why.clone()),
            KeeperError::Misconfigured { why, .. } => DeviceFailure::Misconfigured(why.clone()),
            other => DeviceFailure::Failed(other.to_string()),
        });
        let way = Way::Device(DeviceFlow { failure, ..flow.clone() });
        let ended = PendingLogin { way, expires_at: now + REPEATABLE, ..login.value.clone() };
        let event = What::LoginFailed { peer: flow.peer.to_string(), provider, why: error.to_string() };
        let mut change = self.vault.change(now);
        change.keep_login(id, login.version, &ended)?.audit(event)?;
        Ok(change.commit().await?)
    }
}
