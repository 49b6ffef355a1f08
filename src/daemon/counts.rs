//! Once a minute: the counts of hand-outs and denials become audit records, and systemd gets its line.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::notify;
use crate::command::Service;

/// The time that counts are gathered for.
const MINUTE: Duration = Duration::from_mins(1);

/// Writes the counts every minute until `stop`.
pub(super) async fn run(service: Arc<Service>, stop: CancellationToken) {
    loop {
        notify::status(&status_line(&service).await);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MINUTE) => {}
        }
        service.record_counts().await;
    }
}

/// The line of a start, when the sessions are not counted yet.
pub(super) fn first_line(service: &Service) -> String {
    gone(service).unwrap_or_else(|| format!("{}; counting the sessions", providers(service)))
}

/// Says so, if the store was moved to another host.
fn gone(service: &Service) -> Option<String> {
    let moved = service.keeper.vault().moved_out()?;
    Some(format!("MOVED OUT, nothing is served: {}", crate::keeper::in_words(&moved)))
}

/// One useful line for `systemctl status`.
pub(super) async fn status_line(service: &Arc<Service>) -> String {
    let keeper = Arc::clone(&service.keeper);
    if let Some(moved) = gone(service) {
        return moved;
    }
    let providers = providers(service);
    let counts = tokio::task::spawn_blocking(move || keeper.vault().count_states()).await;
    match counts {
        Ok(Ok(counts)) => format!("{providers}; {} sessions active, {} need login", counts.active, counts.need_login),
        _ => format!("{providers}; the store cannot be read"),
    }
}

fn providers(service: &Service) -> String {
    match service.keeper.providers().len() {
        0 => "no provider configured".to_owned(),
        1 => "1 provider".to_owned(),
        several => format!("{several} providers"),
    }
}
