//! Stopping: nothing new is begun, what was begun is finished, and the last audit record goes out.

use std::time::Duration;

use super::notify;
use super::running::Running;
use crate::audit::What;

/// The longest wait for refreshes and requests in flight: more than a provider may take to answer.
const GRACE: Duration = Duration::from_secs(30);
/// The longest wait for syslog to take what is left. What it does not take stays in the outbox.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Stops everything in good order.
pub(super) async fn shutdown(running: Running) {
    notify::stopping();
    tracing::info!("stopping");
    running.stop.cancel();
    if let Some(cron) = running.cron {
        cron.stop().await;
    }
    running.tasks.close();
    if tokio::time::timeout(GRACE, running.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = running.tasks.len(), "not everything was finished in time; the next start takes it up");
    }
    running.service.record_counts().await;
    let lost = running.service.tally.drain();
    if !lost.is_empty() {
        tracing::error!(records = lost.len(), "counts of hand-outs and denials could not be written, and are lost");
    }
    running.service.record(What::DaemonStopped).await;
    let relay = running.relay;
    let delivered = tokio::task::spawn_blocking(move || relay.finish(LAST_WORDS)).await.unwrap_or(false);
    running.anchors.catch_up().await;
    if !delivered {
        tracing::warn!("some audit records wait for the next start");
    }
    tracing::info!("stopped");
}
