//! What systemd is told. Without systemd, nobody is told and nothing is wrong.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::vault::Migrating;

/// Microseconds that a page of a store may take to be changed.
const A_PAGE: u32 = 60_000_000;

/// Up and serving.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// How things are, in one line.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(&one_line(status))]);
}

/// Reading the configuration again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd cannot be told of the reload"),
    }
}

/// Changing the store to another schema, which may take longer than systemd gives a start.
pub(super) fn migrating(progress: Migrating) {
    let Migrating { from, to, done, total } = progress;
    let status = format!("changing the store from schema {from} to {to}: {done} of about {total} rows");
    tell(&[NotifyState::ExtendTimeoutUsec(A_PAGE), NotifyState::Status(&status)]);
}

/// On the way out.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: finishing what was begun")]);
}

/// Pets the watchdog, if there is one, at twice the rate it asks for, for as long as `is_well` says so.
pub(super) async fn run_watchdog(is_well: impl Fn() -> bool + Send, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let pause = (limit / 2).max(Duration::from_millis(10));
    loop {
        if is_well() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A second line would be a message of its own to systemd.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how things are");
    }
}
