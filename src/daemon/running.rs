//! A running daemon: it waits for signals and does what they say.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::anchor::Anchors;
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
    pub(super) anchors: Arc<Anchors>,
    pub(super) relay: Arc<Relay>,
    pub(super) cron: Option<Cron>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) signals: Signals,
}

impl Running {
    /// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
    pub(super) async fn until_told_to_stop(mut self) {
        while matches!(self.signals.next().await, Told::Reload) {
            reload::reload(&mut self).await;
        }
        shutdown::shutdown(self).await;
    }
}

/// The signals that a daemon is told things by. From here on they do not kill the process.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Process);
        let (term, int, hup) = (SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup());
        Ok(Self { term: listen(term)?, int: listen(int)?, hup: listen(hup)? })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::Stop,
            _ = self.int.recv() => Told::Stop,
            _ = self.hup.recv() => Told::Reload,
        }
    }
}

/// What a signal says.
pub(super) enum Told {
    Reload,
    Stop,
}
