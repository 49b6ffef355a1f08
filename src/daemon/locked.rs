//! A daemon whose keys cannot be opened: it stands, tells why, and waits for an identity that opens them.
//!
//! Invariant: the store is not even open, except while an identity is tried. What answers is a service over an empty store in
//! memory, under the same rules, so that there is nothing to hand out or to write. Its audit trail reaches syslog.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keys::{self, Opened};
use super::running::Told;
use super::start::{Ground, Parts, build, report};
use super::{StartError, notify};
use crate::command::{Attempt, InForce, Lock, Service};
use crate::config::load;
use crate::ipc;
use crate::seal::{KeepKeyring, KeptError, Keyring};
use crate::store::MemoryStore;
use crate::vault::{Rotation, Vault};
use crate::vital::vital;

/// The longest wait for requests that are under way when the keys are opened.
const GRACE: Duration = Duration::from_secs(5);

/// Serves what can be served without keys, until they are opened; nothing, if told to stop before.
pub(super) async fn wait(
    ground: &mut Ground,
    sockets: &Arc<ipc::Sockets>,
    why: &StartError,
) -> Result<Option<Opened>, StartError> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (lock, mut attempts) = Lock::new(why.first());
    let vault = Arc::new(Vault::open(Arc::new(MemoryStore::new()), Keyring::generate()).await?);
    let rotation = Arc::new(Rotation::new(Arc::clone(&vault), Arc::new(NoKeyring), ground.clock.clone(), 1));
    let identity_source = "none".to_owned();
    let parts = Parts { vault, rotation, identity_source, identity: None, lock: Some(lock) };
    let (service, relay) = build(ground, parts, &tasks, &stop)?;
    let served = ipc::serve(Arc::clone(sockets), Arc::clone(&service), tasks.clone(), stop.clone());
    tasks.spawn(vital("what listens at the sockets", served));
    tasks.spawn(notify::run_watchdog(|| true, stop.clone()));
    tell(why);
    let opened = loop {
        tokio::select! {
            told = ground.signals.next() => match told {
                Told::Stop => break None,
                Told::Reload => {
                    notify::reloading();
                    match try_again(ground).await {
                        Ok(opened) => break Some(opened),
                        Err(error) => stay_locked(ground, &service, &error),
                    }
                }
            },
            Some(attempt) = attempts.recv() => {
                if let Some(opened) = try_with(ground, attempt).await {
                    break Some(opened);
                }
            }
        }
    };
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("a peer does not take its answer");
    }
    service.record_counts().await;
    let last_words = tokio::task::spawn_blocking(move || relay.finish(GRACE)).await;
    if !last_words.unwrap_or(false) {
        tracing::warn!("audit records of the time without keys did not reach syslog, and are lost");
    }
    Ok(opened)
}

/// Somebody may have mended the configuration, the identity or the keyring.
async fn try_again(ground: &mut Ground) -> Result<Opened, StartError> {
    let loaded = load(&ground.source, &ground.environment)?;
    report(&loaded);
    ground.settings = loaded.settings;
    keys::open(&ground.settings.daemon, &ground.environment).await
}

/// Nothing is mended: the rules that were read count all the same, unless the configuration itself is wrong.
fn stay_locked(ground: &Ground, service: &Service, error: &StartError) {
    let is_refused = matches!(error, StartError::Config(_));
    let refused = is_refused.then(|| error.first());
    *service.vitals.config_refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    if !is_refused {
        let (rules, loaded_at) = (ground.settings.rules.clone(), ground.clock.now());
        service.in_force.store(Arc::new(InForce { rules, backup_recipients: Vec::new(), loaded_at }));
        service.lock.iter().for_each(|lock| lock.set_reason(error.first()));
    }
    tell(error);
}

/// Somebody brought an identity.
async fn try_with(ground: &Ground, attempt: Attempt) -> Option<Opened> {
    let (settings, mode) = (&ground.settings.daemon, ground.source.mode);
    let tried = keys::recover(settings, &ground.environment, mode, &attempt.identity).await;
    let (opened, answer) = match tried {
        Ok((opened, recovered)) => {
            tracing::warn!("the keys were opened with an identity that was brought: {}", recovered.advice);
            (Some(opened), Ok(recovered))
        }
        Err(error) => {
            tracing::error!(%error, "an identity was brought that does not open the keys");
            (None, Err(error.first()))
        }
    };
    // Whoever brought it may have left; what came of it stands all the same.
    let _ = attempt.answer.send(answer);
    opened
}

/// In the log, and to systemd: ready to answer, which a unit that fails again and again never is.
fn tell(why: &StartError) {
    tracing::error!("NOTHING IS SERVED, because the keys cannot be opened: {}", why.first());
    tracing::error!("mend that and reload, or run: tokenkeeper keys recover");
    notify::ready(&format!("LOCKED, nothing is served: {}", why.first()));
}

/// There is no keyring to keep.
struct NoKeyring;

impl KeepKeyring for NoKeyring {
    fn keep(&self, _keyring: &Keyring) -> Result<(), KeptError> {
        Err(KeptError::Missing { path: "keyring.age".into() })
    }

    fn set_recovery(&self, keyring: &Keyring, _recovery: &[String]) -> Result<(), KeptError> {
        self.keep(keyring)
    }

    fn recovery(&self) -> Vec<String> {
        Vec::new()
    }
}
