//! Starting: every part is made from those below it, and nothing is served before all of them stand.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use nix::unistd::geteuid;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::anchor::Anchors;
use super::keys::{self, Opened};
use super::running::{Running, Signals};
use super::{Options, StartError, counts, locked, notify, reload};
use crate::audit::{Relay, Tally};
use crate::clock::Clock;
use crate::command::{InForce, Lock, Meter, Service, Vitals};
use crate::config::{Environment, Loaded, Settings, Source, load};
use crate::failpoint::failpoint;
use crate::ipc;
use crate::keeper::{self, Eraser, Keeper};
use crate::policy::judge;
use crate::schedule::{Cron, run_clock_watch, run_due_timer};
use crate::vault::{Rotation, Vault};
use crate::vital::vital;

/// What there is before there are keys.
pub(super) struct Ground {
    pub(super) source: Source,
    pub(super) environment: Environment,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) signals: Signals,
    /// Threads that nobody who wants a token has to share.
    pub(super) work: Handle,
}

/// What a service stands on.
pub(super) struct Parts {
    pub(super) vault: Arc<Vault>,
    pub(super) rotation: Arc<Rotation>,
    pub(super) identity_source: String,
    /// As in [`Opened`].
    pub(super) identity: Option<String>,
    pub(super) lock: Option<Lock>,
}

/// Starts everything, and tells systemd. Nothing runs, if told to stop before that.
pub(super) async fn start(options: &Options, work: Handle) -> Result<Option<Running>, StartError> {
    let (source, environment) = (options.source(), Environment::of_process());
    let loaded = load(&source, &environment)?;
    report(&loaded);
    // Before anybody is told that we are ready: who is told may send one at once.
    let signals = Signals::listen()?;
    make_private(&loaded.settings.daemon.state_dir)?;
    let mut ground = Ground { source, environment, settings: loaded.settings, clock: Clock::system(), signals, work };

    let has_something_to_open = keys::are_needed(&ground.settings.daemon)?;
    let opened = match keys::open(&ground.settings.daemon, &ground.environment).await {
        Err(error) if has_something_to_open && error.is_about_keys() => Err(error),
        opened => Ok(opened?),
    };
    let sockets = Arc::new(ipc::listen(&ground.settings.daemon)?);
    let opened = match opened {
        Ok(opened) => Some(opened),
        Err(error) => locked::wait(&mut ground, &sockets, &error).await?,
    };
    match opened {
        Some(opened) => run(ground, opened, sockets).await.map(Some),
        None => Ok(None),
    }
}

/// Sets everything in motion.
async fn run(ground: Ground, opened: Opened, sockets: Arc<ipc::Sockets>) -> Result<Running, StartError> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let schedule = &ground.settings.schedule;
    let Opened { vault, kept, source, identity } = opened;
    // Before anything is done with what is in the store.
    let anchors = Arc::new(Anchors::new(Arc::clone(&vault), &ground.settings.daemon));
    failpoint!("start.opened");
    anchors.compare(ground.clock.now()).await?;
    vault.tell_migration(ground.clock.now()).await?;
    failpoint!("start.compared");
    let rotation = Rotation::new(Arc::clone(&vault), kept, ground.clock.clone(), schedule.reseal_rate);
    let rotation = Arc::new(rotation);
    let identity_source = source.to_string();
    let parts = Parts { vault, rotation: Arc::clone(&rotation), identity_source, identity, lock: None };
    let (service, relay) = build(&ground, parts, &tasks, &stop)?;
    let keeper = Arc::clone(&service.keeper);
    // What is in a store that was moved out is settled where it is now.
    let interrupted = if keeper.is_leaving() { 0 } else { keeper.recover().await? };
    if interrupted > 0 {
        tracing::warn!(sessions = interrupted, "the last run was stopped in the middle of refreshes");
    }
    keeper.keep_accounts(ground.settings.accounts.clone()).await;
    if let Some(why) = service.vitals.why_no_units {
        tracing::warn!(
            "units cannot be told: {why}; rules about units match nobody, and services count as their users"
        );
    }
    if let Some(moved) = keeper.vault().moved_out() {
        tracing::warn!("NOTHING IS SERVED: {}", keeper::in_words(&moved));
    } else {
        keeper.resume_device_logins()?;
    }

    let cron = Cron::start(schedule, &keeper, &rotation, &tasks, &stop).await?;
    let timer = run_due_timer(Arc::clone(&keeper), stop.clone());
    let timer = async move {
        if let Err(error) = timer.await {
            tracing::error!(%error, "the due timer cannot run; the sweep of [schedule] does its work");
        }
    };
    tasks.spawn_on(vital("the due timer", timer), &ground.work);
    let watch = run_clock_watch(Arc::clone(&keeper), stop.clone());
    let watch = async move {
        if let Err(error) = watch.await {
            tracing::error!(%error, "the clock is not watched; a jump of it goes unnoticed until a token is asked for");
        }
    };
    tasks.spawn(vital("the watch of the clock", watch));
    let served = ipc::serve(sockets, Arc::clone(&service), tasks.clone(), stop.clone());
    tasks.spawn(vital("what listens at the sockets", served));
    let reopened = {
        let (keeper, stop) = (Arc::clone(&keeper), stop.clone());
        async move {
            let _ = stop.run_until_cancelled(keeper.heed_reopened_store()).await;
        }
    };
    tasks.spawn(vital("what takes up a store that healed", reopened));
    tasks.spawn(vital("the rotation of the keys", rotation.run(stop.clone())));
    tasks.spawn(vital("what erases users", Arc::clone(&service.eraser).run(stop.clone())));
    tasks.spawn(vital("what keeps the anchors", Arc::clone(&anchors).follow(stop.clone())));
    tasks.spawn(vital("the watchdog", notify::run_watchdog(is_well(&service), stop.clone())));

    failpoint!("start.before-ready");
    service.record(crate::audit::What::DaemonStarted { version: env!("CARGO_PKG_VERSION").to_owned() }).await;
    notify::ready(&counts::first_line(&service));
    // Counts the sessions, which nobody should wait for.
    tasks.spawn(vital("what writes the counts", counts::run(Arc::clone(&service), stop.clone())));
    let Ground { source, environment, settings, signals, .. } = ground;
    tracing::info!(providers = settings.providers.len(), "ready");
    Ok(Running { source, environment, settings, service, anchors, relay, cron: Some(cron), tasks, stop, signals })
}

/// A service, and the relay that sends its audit trail.
pub(super) fn build(
    ground: &Ground,
    parts: Parts,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(Arc<Service>, Arc<Relay>), StartError> {
    let Ground { settings, clock, .. } = ground;
    let Parts { vault, rotation, identity_source, identity, lock } = parts;
    let rules = InForce {
        rules: settings.rules.clone(),
        backup_recipients: settings.daemon.backup_recipients.clone(),
        loaded_at: clock.now(),
    };
    let in_force = Arc::new(ArcSwap::from_pointee(rules));
    let keeper = Arc::new(Keeper::new(keeper::Parts {
        vault: Arc::clone(&vault),
        providers: reload::providers(&settings.providers, None)?,
        judge: Box::new({
            let in_force = Arc::clone(&in_force);
            move |peer, action, target| judge(&in_force.load().rules, peer, action, target)
        }),
        clock: clock.clone(),
        tasks: tasks.clone(),
        work: ground.work.clone(),
        stop: stop.clone(),
        cache_sessions: settings.daemon.cache_sessions,
        retention: settings.schedule.retention,
    }));
    keeper.resume_clock()?;
    let relay = Arc::new(Relay::start(Arc::clone(&vault) as _, settings.audit.clone()).map_err(StartError::Process)?);
    vault.wake_on_events(relay.waker());
    let vitals = Vitals {
        started_at: clock.now(),
        identity_source,
        state_dir: settings.daemon.state_dir.clone(),
        why_no_units: ipc::why_no_units(),
        config_refused: Mutex::default(),
        audit_fault: Box::new({
            let relay = Arc::clone(&relay);
            move || relay.fault()
        }),
    };
    let (tally, meter) = (Arc::new(Tally::default()), Arc::new(Meter::default()));
    let eraser = Arc::new(Eraser::new(Arc::clone(&keeper), Arc::clone(&rotation), identity));
    Ok((Arc::new(Service { keeper, in_force, tally, vitals, meter, rotation, eraser, lock }), relay))
}

/// Logs what is allowed and probably not meant.
pub(super) fn report(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

/// A daemon that can still read its store is alive; what is wrong beyond that is told by its status.
fn is_well(service: &Arc<Service>) -> impl Fn() -> bool + Send + use<> {
    let keeper = Arc::clone(&service.keeper);
    // A store that cannot be written heals by itself; a restart would lose what waits in memory for that.
    move || keeper.vault().fault().is_some() || keeper.vault().next_due(keeper.clock().now()).is_ok()
}

/// Makes the state directory, or sees that nobody else can put anything into the one that is there.
pub(super) fn make_private(dir: &Path) -> Result<(), StartError> {
    let unusable = |source| StartError::StateDirectory { path: dir.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    let found = std::fs::metadata(dir).map_err(unusable)?;
    let (owner, uid, mode) = (found.uid(), geteuid().as_raw(), found.mode() & 0o7777);
    if owner != uid || mode & 0o077 != 0 {
        return Err(StartError::StateDirectoryOpen { path: dir.to_owned(), owner, mode, uid });
    }
    Ok(())
}
