//! Stopping: nothing new is begun, what was begun is finished, and the last audit record goes out.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::notify;
use super::running::Running;
use crate::audit::What;
use crate::keeper::Keeper;

/// The longest wait for refreshes and requests in flight, and for a store that takes no writes to take their answers: more than a
/// provider may take to answer.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is seen whether such answers came meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
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
    finish(&running.tasks, &running.service.keeper).await;
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

/// Finishes what was begun, and has what providers answered written: where refresh tokens rotate, whoever loses that answer has to
/// log in again.
async fn finish(tasks: &TaskTracker, keeper: &Arc<Keeper>) {
    let waiting = keeper.unwritten().len();
    if waiting > 0 {
        tracing::warn!(
            sessions = waiting,
            "answers of providers are in memory only: the stop waits {GRACE:?} for the store to take them"
        );
    }
    let everything = async {
        // What runs may still bring some.
        let is_done =
            async || tokio::time::timeout(LOOK_EVERY, tasks.wait()).await.is_ok() && keeper.unwritten().is_empty();
        while !is_done().await {
            keeper.write_what_waits().await;
        }
    };
    if tokio::time::timeout(GRACE, everything).await.is_ok() {
        return;
    }
    if !tasks.is_empty() {
        tracing::warn!(tasks = tasks.len(), "not everything was finished in time; the next start takes it up");
    }
    let lost = keeper.unwritten();
    if !lost.is_empty() {
        let sessions = lost.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        tracing::error!(
            count = lost.len(),
            %sessions,
            "answers of providers could not be written, and are lost: where refresh tokens rotate, these users have to log in again"
        );
    }
}
