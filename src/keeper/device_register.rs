//! Which device flows are asked about at the moment, by whom each was begun, and how often its provider is asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::{LoginId, UnixSeconds};
use tokio::sync::watch;

use super::KeeperError;
use super::login::REPEATABLE;
use crate::domain::Owner;
use crate::vault::PendingLogin;

/// Flows of one owner that are asked about at the same time: each is a request to the provider every few seconds.
const AT_ONCE: usize = 32;
/// What a provider that wants to be asked less often gets each time (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause after faults, unless the interval is longer: the user has come long ago, perhaps, and waits.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The flows that are asked about.
#[derive(Default)]
pub(super) struct DeviceLogins(Mutex<Register>);

#[derive(Default)]
struct Register {
    asking: HashMap<LoginId, Asking>,
    /// Who has been promised room, once for each flow that is about to begin.
    promised: Vec<Owner>,
}

/// Room for one more flow, until this is dropped.
pub(super) struct Room<'a> {
    of: &'a DeviceLogins,
    owner: Owner,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.locked(|all| {
            if let Some(at) = all.promised.iter().position(|owner| *owner == self.owner) {
                all.promised.swap_remove(at);
            }
        });
    }
}

struct Asking {
    owner: Owner,
    /// Why it failed, once it has; closed when nobody asks any more.
    over: watch::Receiver<Option<KeeperError>>,
    /// For how long a failure is told that could not be written.
    told_until: UnixSeconds,
}

impl Asking {
    fn is_under_way(&self) -> bool {
        self.over.borrow().is_none() && self.over.has_changed().is_ok()
    }
}

impl DeviceLogins {
    /// Room for one more of `owner`'s, to be held until that is asked about or was not begun.
    pub(super) fn room(&self, owner: Owner) -> Option<Room<'_>> {
        let has_room = self.locked(|all| {
            let asking = all.asking.values().filter(|one| one.owner == owner && one.is_under_way()).count();
            let promised = all.promised.iter().filter(|other| **other == owner).count();
            let has_room = asking + promised < AT_ONCE;
            all.promised.extend(has_room.then(|| owner.clone()));
            has_room
        });
        has_room.then_some(Room { of: self, owner })
    }

    /// The duty to ask about a flow, unless somebody does already, or it failed and that is still told.
    pub(super) fn take(
        &self,
        id: LoginId,
        login: &PendingLogin,
        now: UnixSeconds,
    ) -> Option<watch::Sender<Option<KeeperError>>> {
        self.locked(|all| {
            all.asking.retain(|_, one| one.is_under_way() || one.over.borrow().is_some() && one.told_until > now);
            if all.asking.contains_key(&id) {
                return None;
            }
            let (tell, over) = watch::channel(None);
            let (owner, told_until) = (login.begun_by.clone(), login.expires_at + REPEATABLE);
            all.asking.insert(id, Asking { owner, over, told_until });
            Some(tell)
        })
    }

    pub(super) fn follow(&self, id: LoginId) -> Option<watch::Receiver<Option<KeeperError>>> {
        self.locked(|all| all.asking.get(&id).map(|one| one.over.clone()))
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Register) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How often a provider is asked.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    /// Questions without an answer, in a row.
    faults: u32,
    /// What the provider asked for with the last one.
    retry_after: Duration,
    /// What happened last.
    pub(super) trouble: Option<String>,
}

impl Pace {
    /// The pause before the next question. After faults it doubles (RFC 8628 section 3.5).
    pub(super) fn pause(&self) -> Duration {
        let backed_off = self.interval.saturating_mul(1_u32.checked_shl(self.faults).unwrap_or(u32::MAX));
        backed_off.min(LONGEST_PAUSE.max(self.interval)).max(self.retry_after)
    }

    pub(super) fn answered(&mut self) {
        (self.faults, self.retry_after, self.trouble) = (0, Duration::ZERO, None);
    }

    pub(super) fn slow_down(&mut self) {
        self.answered();
        self.interval += SLOWER;
    }

    pub(super) fn unanswered(&mut self, trouble: String, retry_after: Option<Duration>) {
        self.faults += 1;
        (self.retry_after, self.trouble) = (retry_after.unwrap_or_default(), Some(trouble));
    }
}
