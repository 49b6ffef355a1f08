//! What is done once a minute: the counts of hand-outs and denials become audit records.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::command::Service;

/// The time that counts are gathered for.
const MINUTE: Duration = Duration::from_mins(1);

/// Writes the counts every minute until `stop`, and calls `then` after each.
pub async fn run_minutes(service: Arc<Service>, stop: CancellationToken, then: impl Fn() + Send) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MINUTE) => {}
        }
        service.write_counts().await;
        then();
    }
}
