//! The look at the clock: every half minute, and whenever somebody noticed a jump.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTimer;
use crate::keeper::Keeper;

/// How often the clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Looks at the clock until `stop`.
///
/// # Errors
/// When the kernel gives no timer.
pub async fn run_clock_watch(keeper: Arc<Keeper>, stop: CancellationToken) -> std::io::Result<()> {
    let (timer, mut turns) = (BootTimer::new()?, keeper.clock().turns());
    loop {
        turns.mark_unchanged();
        keeper.look_at_clock().await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            waited = timer.wait(LOOK_EVERY) => waited?,
            // It goes on for as long as the clock, which is longer than this.
            _ = turns.changed() => {}
        }
    }
}
