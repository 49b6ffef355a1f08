//! Once a minute: memory that was freed goes back to the system. What a start, a compaction or many refreshes at once took, the
//! allocator would keep.

use std::time::Duration;

use tokenkeeper_sys::give_back_spare_memory;
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_mins(1);

/// Gives it back now and every minute, until `stop`.
pub(super) async fn run(stop: CancellationToken) {
    while !stop.is_cancelled() {
        // Should the thread for it be gone, so is the daemon.
        let _ = tokio::task::spawn_blocking(give_back_spare_memory).await;
        let _ = stop.run_until_cancelled(tokio::time::sleep(MINUTE)).await;
    }
}
