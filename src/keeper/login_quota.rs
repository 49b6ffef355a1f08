//! How much of the store and the audit trail one owner's logins may take: each begin keeps a flow for ten minutes, and
//! each callback that fits no login is an audit record.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use crate::domain::Owner;

/// What is counted together: as long as a flow is kept.
const WINDOW: Duration = Duration::from_mins(10);
/// Begins and failures of one owner in a window: many times what a busy web backend has.
const LIMIT: u32 = 10_000;

/// What every owner has used up.
#[derive(Default)]
pub(super) struct LoginQuota(Mutex<HashMap<Owner, Used>>);

struct Used {
    since: UnixSeconds,
    count: u32,
}

impl LoginQuota {
    /// Uses up one of `owner`'s; how long to wait if there is none left.
    pub(super) fn take(&self, owner: Owner, now: UnixSeconds) -> Result<(), Duration> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins a new window.
        owners.retain(|_, used| used.since <= now && now.since(used.since) < WINDOW);
        let used = owners.entry(owner).or_insert(Used { since: now, count: 0 });
        if used.count >= LIMIT {
            return Err((used.since + WINDOW).since(now));
        }
        used.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_runs_out_others_do_not_and_a_new_window_begins() {
        let quota = LoginQuota::default();
        let at = |seconds: i64| UnixSeconds(1_000_000 + seconds);
        for _ in 0..LIMIT {
            assert_eq!(quota.take(Owner::Uid(1), at(0)), Ok(()));
        }
        assert_eq!(quota.take(Owner::Uid(1), at(100)), Err(Duration::from_secs(500)));
        assert_eq!(quota.take(Owner::Uid(2), at(100)), Ok(()));
        assert_eq!(quota.take(Owner::Uid(1), at(600)), Ok(()));
    }
}
