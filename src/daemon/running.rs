//! A running daemon: it waits for signals and does what they say.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{StartError, reload, shutdown};
use crate::audit::Relay;
use crate::command::Service;
use crate::config::{Environment, Settings, Source};
use crate::schedule::Cron;

/// Everything that runs.
pub(super) struct Running {
    pub(super) source: Source,
    pub(super) environment: Environment,
    pub(super) settings: Settings,
    pub(super) service: Arc<Service>,
    pub(super) relay: Arc<Relay>,
    pub(super) cron: Option<Cron>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Running {
    /// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
    pub(super) async fn until_told_to_stop(mut self) -> Result<(), StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Process);
        let (mut term, mut int, mut hup) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?);
        loop {
            match next(&mut term, &mut int, &mut hup).await {
                Told::Reload => reload::reload(&mut self).await,
                Told::Stop => break,
            }
        }
        shutdown::shutdown(self).await;
        Ok(())
    }
}

enum Told {
    Reload,
    Stop,
}

async fn next(term: &mut Signal, int: &mut Signal, hup: &mut Signal) -> Told {
    tokio::select! {
        _ = term.recv() => Told::Stop,
        _ = int.recv() => Told::Stop,
        _ = hup.recv() => Told::Reload,
    }
}
