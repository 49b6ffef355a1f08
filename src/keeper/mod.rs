//! The only place where tokens change: serving, refresh, login, logout, growing old.
//!
//! Invariants: what a provider gave is durable before anybody sees it, or kept while the store takes no writes; a refresh token is sent at most once at a time
//! (one flight per session) and never again once its successor is durable; a session that ended is served to nobody.

mod accounts;
mod admit;
mod attend;
mod cache;
mod closing;
mod device;
mod device_poll;
mod device_register;
mod erase;
mod error;
mod flight;
mod lanes;
mod leaving;
mod login;
mod login_quota;
mod logout;
mod narrowed;
mod prune;
mod recover;
mod reuse;
mod revoke;
mod scrub;
mod serve;
mod set_back;
mod shelf;
mod sign_out;
#[cfg(test)]
pub(crate) mod tests;
mod timekeeping;
mod timing;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenkeeper_protocol::{ProviderName, SessionRef};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::{Peer, Session};
use crate::policy::{Action, Denial, Permit, Target};
use crate::provider::Provider;
use crate::vault::{Vault, VaultError};

pub use accounts::AccountsConfigured;
pub use attend::{Attended, Wish};
pub use cache::Live;
pub use erase::{Eraser, How};
pub use error::KeeperError;
pub use leaving::{Leaving, Work, in_words};
pub use login::LoginLocks;
pub use serve::{Look, Served};
pub use timekeeping::clock_complaint;
pub use window::{Spans, Window};

/// The providers of the configuration in force.
pub type Providers = BTreeMap<ProviderName, Arc<Provider>>;

/// Judges by the rules that are in force when it is asked: of logins that are completed when nobody is there to ask.
pub type Judge = Box<dyn Fn(&Peer, Action, Target<'_>) -> Result<Permit, Denial> + Send + Sync>;

/// Keeps the sessions.
pub struct Keeper {
    vault: Arc<Vault>,
    providers: ArcSwap<Providers>,
    cache: cache::Cache,
    flights: flight::Flights,
    lanes: lanes::Lanes,
    gate: leaving::Gate,
    reuse: reuse::ReuseKnown,
    unwritten: flight::Unwritten,
    window: Window,
    accounts: accounts::Accounts,
    logins: LoginLocks,
    login_quota: login_quota::LoginQuota,
    device_logins: device_register::DeviceLogins,
    judge: Judge,
    clock: Clock,
    scrubs: scrub::Scrubs,
    calling_up: set_back::OneAtATime,
    /// Every task that the keeper starts, so that shutdown can wait for what must still be written.
    tasks: TaskTracker,
    /// Where they run.
    work: Handle,
    /// Told when nothing more is to be begun.
    stop: CancellationToken,
    /// Rings when something may be due sooner than before.
    agenda: Notify,
    /// How long a session that is over stays visible.
    retention: ArcSwap<Duration>,
}

/// What a keeper works with.
pub struct Parts {
    /// The store of sessions.
    pub vault: Arc<Vault>,
    /// Whom to ask for tokens.
    pub providers: Providers,
    /// The time.
    pub clock: Clock,
    /// Who may do what.
    pub judge: Judge,
    /// Where tasks are tracked.
    pub tasks: TaskTracker,
    /// The threads that seal, open and speak to providers; not those that hand out tokens, which would wait for them.
    pub work: Handle,
    /// When to stop asking for users who may come later.
    pub stop: CancellationToken,
    /// Sessions whose current token is kept in memory.
    pub cache_sessions: u64,
    /// How long a session that is over stays visible.
    pub retention: Duration,
}

impl Keeper {
    /// A keeper of what is in the vault.
    pub fn new(parts: Parts) -> Self {
        let this = Self {
            vault: parts.vault,
            providers: ArcSwap::from_pointee(in_force(parts.providers, &parts.clock)),
            cache: cache::Cache::new(parts.cache_sessions),
            flights: flight::Flights::default(),
            lanes: lanes::Lanes::default(),
            gate: leaving::Gate::default(),
            reuse: reuse::ReuseKnown::default(),
            unwritten: flight::Unwritten::default(),
            window: Window::default(),
            accounts: accounts::Accounts::default(),
            logins: LoginLocks::default(),
            login_quota: login_quota::LoginQuota::default(),
            device_logins: device_register::DeviceLogins::default(),
            judge: parts.judge,
            clock: parts.clock,
            scrubs: scrub::Scrubs::default(),
            calling_up: set_back::OneAtATime::default(),
            tasks: parts.tasks,
            work: parts.work,
            stop: parts.stop,
            agenda: Notify::new(),
            retention: ArcSwap::from_pointee(parts.retention),
        };
        this.find_gate();
        this
    }

    /// The store of sessions, for reading.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// The time that the keeper goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The providers of the configuration in force.
    pub fn providers(&self) -> Arc<Providers> {
        self.providers.load_full()
    }

    /// Sessions whose current token is in memory.
    pub fn cached(&self) -> u64 {
        self.cache.len()
    }

    /// How long answers to refreshes were unsaved.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Puts a new configuration in force.
    pub fn replace_providers(&self, providers: Providers, retention: Duration) {
        self.providers.store(Arc::new(in_force(providers, &self.clock)));
        self.retention.store(Arc::new(retention));
    }

    /// Returns when something may be due sooner than the caller knows.
    ///
    /// # Cancel safety
    /// A ring that nobody waited for is kept for the next call.
    pub async fn agenda_changed(&self) {
        self.agenda.notified().await;
    }

    /// Looks at everything anew whenever the store has healed, until the daemon stops.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn heed_reopened_store(&self) -> ! {
        loop {
            self.vault.reopened().await;
            self.cache.clear();
            self.find_gate();
            if let Err(error) = self.catch_up_with_accounts().await {
                tracing::error!(%error, "not every service account could be set up; the sweep tries it again");
            }
            self.agenda.notify_one();
        }
    }

    /// Shows a change that was just committed, to those whom the session is served to and to the schedule.
    fn publish(&self, session: SessionRef) {
        self.published(session, self.load(session).map(drop));
    }

    /// The same for a change that nobody may be waiting for: what is not in memory stays where it is.
    fn publish_renewed(&self, session: SessionRef) {
        self.published(session, self.cache.renew(session, || self.current(session)));
    }

    fn published(&self, session: SessionRef, read: Result<(), VaultError>) {
        if let Err(error) = read {
            tracing::error!(%session, %error, "a session cannot be read back, and is not served from memory");
        }
        self.agenda.notify_one();
    }

    /// Reads a session into the cache.
    fn load(&self, id: SessionRef) -> Result<Option<Session>, VaultError> {
        self.cache.load(id, || self.current(id))
    }

    /// A session as it is, be that written or not.
    fn current(&self, id: SessionRef) -> Result<Option<Session>, VaultError> {
        Ok(self.vault.session(id)?.map(|session| self.with_unwritten(session)))
    }

    /// Starts a task that shutdown waits for.
    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.tasks.spawn_on(task, &self.work)
    }

    fn retention(&self) -> Duration {
        **self.retention.load()
    }

    fn provider(&self, name: &ProviderName) -> Result<Arc<Provider>, KeeperError> {
        let known = self.providers.load().get(name).cloned();
        known.ok_or_else(|| KeeperError::ProviderRemoved { provider: name.clone() })
    }
}

fn in_force(providers: Providers, clock: &Clock) -> Providers {
    for provider in providers.values() {
        provider.comes_into_force(clock);
    }
    providers
}
