//! The timer that wakes at the earliest due session.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTimer;
use crate::keeper::{Keeper, KeeperError};

/// The longest sleep: bounds what a change of the wall clock can do to a wait that was computed before it.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Attends to what is due, whenever it is, until `stop`.
///
/// # Errors
/// When the kernel gives no timer.
pub async fn run_due_timer(keeper: Arc<Keeper>, stop: CancellationToken) -> std::io::Result<()> {
    let timer = BootTimer::new()?;
    while !stop.is_cancelled() {
        let attended = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            attended = attend(&keeper) => attended,
        };
        let sleep = match attended {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::error!(%error, "what is due cannot be looked up");
                LONGEST_SLEEP
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            waited = timer.wait(sleep) => waited?,
            () = keeper.agenda_changed() => {}
        }
    }
    Ok(())
}

async fn attend(keeper: &Arc<Keeper>) -> Result<Duration, KeeperError> {
    let now = keeper.clock().now();
    keeper.attend_to_all_due(now).await?;
    // Behind `now`, not behind the present: what became due in between is next.
    let next = keeper.vault().next_due(now)?;
    Ok(next.map_or(LONGEST_SLEEP, |at| at.since(keeper.clock().now())).min(LONGEST_SLEEP))
}
