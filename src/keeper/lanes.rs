//! What is due, lined up by provider: one that is slow, or down, keeps nobody waiting but its own sessions.
//!
//! Invariant: of a provider's sessions, whichever is needed soonest is attended to next, and few more at once than may be asked of it;
//! nothing is begun while the store takes no writes. The agenda in the store stays the truth: a lane holds no more than [`LONGEST`]
//! of it, and is made anew by reading it again. A lane that comes to rest with something left to do rings for whoever reads it.

mod unreadable;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokenkeeper_protocol::reply::Revocation;
use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds};
use tokio::sync::Notify;

use self::unreadable::Unreadable;
use super::attend::needed_by;
use super::flight::Outcome;
use super::{Attended, Keeper, KeeperError, Wish};
use crate::vault::{AgendaItem, VaultError};

/// Sessions read from the agenda in one go.
const AGENDA_PAGE: usize = 256;
/// Of these, so many are opened before somebody else has the thread.
const IN_ONE_GO: usize = 16;
/// Sessions that are lined up for one provider, in some forty bytes each; the others are read, and opened, when there is room.
const LONGEST: usize = 131_072;
/// How far behind the last one the agenda is read again: what was written meanwhile may stand a little before it.
const OVERLAP: Duration = Duration::from_secs(2);
/// How often the whole of it is: what could not be done is tried again, and what stands far behind is found.
const LAP: Duration = Duration::from_secs(10);
/// A pause between two laps is so many times as long as a lap took: what finds no room in its lane is opened in each.
const PAUSES: u32 = 9;
/// Requests at once for sessions whose provider is not configured any more: none is made.
const AT_ONCE: usize = 8;

/// The lanes.
pub(super) struct Lanes {
    by_provider: Mutex<BTreeMap<ProviderName, Lane>>,
    /// How long one may be: [`LONGEST`], but in tests.
    pub(super) longest: usize,
    /// Rings when a lane comes to rest, for the tests.
    rested: Notify,
    /// Rings when there is more to do.
    grown: Notify,
    /// How far the agenda is read. One reader at a time.
    reader: tokio::sync::Mutex<Reader>,
}

#[derive(Default)]
struct Lane {
    queue: BTreeSet<(UnixSeconds, SessionRef)>,
    /// Those in the queue, and those that are attended to.
    known: HashSet<SessionRef>,
    is_running: bool,
    /// Some did not fit.
    left_some_out: bool,
}

#[derive(Default)]
struct Reader {
    /// Whatever was due by then has been read.
    until: Option<UnixSeconds>,
    /// When the whole of it is read again, in boot time.
    next_lap: Duration,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            by_provider: Mutex::default(),
            longest: LONGEST,
            rested: Notify::default(),
            grown: Notify::default(),
            reader: tokio::sync::Mutex::default(),
        }
    }
}

impl Lane {
    /// Takes a session in, unless it is there; returns whether it is new. The one that is needed last makes room.
    fn take_in(&mut self, session: SessionRef, needed_by: UnixSeconds, longest: usize) -> bool {
        if !self.known.insert(session) {
            return false;
        }
        self.queue.insert((needed_by, session));
        if self.queue.len() > longest
            && let Some((_, last)) = self.queue.pop_last()
        {
            self.known.remove(&last);
            self.left_some_out = true;
        }
        true
    }
}

impl Keeper {
    /// Lines up what is due at `now`, and lets it be attended to; returns how many sessions are new to the lanes.
    ///
    /// # Cancel safety
    /// Safe: what was lined up is attended to.
    ///
    /// # Errors
    /// When the agenda cannot be read. What goes wrong with one session stays with it.
    pub async fn line_up(self: &Arc<Self>, now: UnixSeconds) -> Result<usize, KeeperError> {
        self.read_agenda(now, false).await
    }

    /// The same for all that is due, however long it has been; tells of what cannot be opened.
    pub(super) async fn line_all_up(self: &Arc<Self>, now: UnixSeconds) -> Result<usize, KeeperError> {
        self.read_agenda(now, true).await
    }

    /// Removes from the agenda what does not fit its session.
    pub(super) async fn mend_agenda(&self, now: UnixSeconds) -> Result<(), KeeperError> {
        let mut after = None;
        loop {
            let items = self.vault.due(now, after, AGENDA_PAGE)?;
            let Some(last) = items.last().filter(|_| !self.stop.is_cancelled()) else { return Ok(()) };
            let from = after.replace(*last);
            self.vault.mend_due(from, &items).await?;
            tokio::task::yield_now().await;
        }
    }

    /// Returns when nothing is attended to.
    #[cfg(test)]
    pub(crate) async fn lanes_at_rest(&self) {
        loop {
            let rested = self.lanes.rested.notified();
            tokio::pin!(rested);
            rested.as_mut().enable();
            if !self.lanes.all().values().any(|lane| lane.is_running) {
                return;
            }
            rested.await;
        }
    }

    /// When a provider may be asked again for which something is lined up, if one may not be asked now.
    pub fn next_try(&self) -> Option<Duration> {
        let providers = self.providers();
        let lanes = self.lanes.all();
        let waiting =
            lanes.iter().filter(|(_, lane)| !lane.queue.is_empty()).filter_map(|(name, _)| providers.get(name));
        waiting.filter_map(|provider| Some(provider.gate().closed(&self.clock)?.wait)).min()
    }

    async fn read_agenda(self: &Arc<Self>, now: UnixSeconds, whole: bool) -> Result<usize, KeeperError> {
        if self.is_leaving() {
            return Ok(0);
        }
        let mut reader = self.lanes.reader.lock().await;
        let began = self.clock.boot();
        let is_lap = whole
            || reader.until.is_none_or(|until| until > now)
            || began >= reader.next_lap
            || self.lanes.all().values().any(|lane| lane.left_some_out && lane.queue.is_empty());
        let mut after: Option<AgendaItem> = None;
        if is_lap {
            reader.next_lap = began + LAP;
            self.lanes.all().values_mut().for_each(|lane| lane.left_some_out = false);
        } else if let Some(until) = reader.until {
            after = Some((until - OVERLAP, SessionRef::from_random([0; 5])));
        }
        let (mut lined_up, mut unreadable) = (0_usize, Unreadable::default());
        for session in self.unwritten.sessions() {
            lined_up += usize::from(unreadable.or(session, self.line_one_up(session)));
        }
        loop {
            let items = self.vault.due(now, after, AGENDA_PAGE)?;
            for some in items.chunks(IN_ONE_GO) {
                for (_, session) in some {
                    lined_up += usize::from(unreadable.or(*session, self.line_one_up(*session)));
                }
                tokio::task::yield_now().await;
            }
            self.start_lanes();
            self.lanes.grown.notify_waiters();
            let Some(last) = items.last().filter(|_| !self.stop.is_cancelled()) else { break };
            after = Some(*last);
        }
        reader.until = Some(now);
        if is_lap {
            reader.next_lap = next_lap(began, self.clock.boot());
        }
        if whole {
            unreadable.tell();
        }
        Ok(lined_up)
    }

    /// Lines a session up with the others of its provider; returns whether it is new there.
    fn line_one_up(&self, session: SessionRef) -> Result<bool, VaultError> {
        if let Some(live) = self.cache.find(session) {
            return Ok(self.lanes.take_in(&live.provider, session, live.expires_at));
        }
        if self.lanes.all().values().any(|lane| lane.known.contains(&session)) {
            return Ok(false);
        }
        let found = self.vault.session(session)?;
        Ok(found.is_some_and(|it| self.lanes.take_in(&it.value.provider, session, needed_by(&it.value))))
    }

    /// Sets every lane to work in which somebody waits, and whose provider may be asked.
    fn start_lanes(self: &Arc<Self>) {
        for (name, lane) in self.lanes.all().iter_mut() {
            if !lane.is_running && !lane.queue.is_empty() && self.may_begin(name) {
                lane.is_running = true;
                self.spawn(Arc::clone(self).work_off(name.clone()));
            }
        }
    }

    /// Attends to the sessions of a lane until nobody waits, or nothing may be begun.
    async fn work_off(self: Arc<Self>, name: ProviderName) {
        let mut rest = Rest { keeper: &self, name: &name, is_taken: false };
        let mut flights = FuturesUnordered::new();
        loop {
            let grown = self.lanes.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            while let Some(session) = self.next_in(&name, flights.len()) {
                let keeper = Arc::clone(&self);
                flights.push(async move { (session, keeper.attend(session, Wish::Due).outcome().await) });
            }
            let landed = tokio::select! {
                landed = flights.next() => landed,
                () = grown => continue,
            };
            let Some((session, outcome)) = landed else {
                if rest.take(self.may_begin(&name)) {
                    return;
                }
                continue;
            };
            self.landed(&name, session, &outcome);
            // What a provider has to do with is in the audit trail; this is not.
            if let Err(error @ (KeeperError::StoreDown { .. } | KeeperError::Internal)) = outcome {
                tracing::error!(%session, %error, "a session that is due cannot be attended to");
            }
        }
    }

    /// Takes a session out of its lane that was attended to. What could not even be begun keeps its place: whatever else comes
    /// of an attempt moves the session in the agenda.
    fn landed(&self, name: &ProviderName, session: SessionRef, outcome: &Outcome) {
        let keeps_its_place = match outcome {
            Err(KeeperError::ProviderDown { .. }) | Ok(Attended::Revoked(Revocation::Pending)) => {
                self.is_still_due(session)
            }
            Err(KeeperError::StoreDown { .. }) => self.vault.fault().is_some(),
            _ => false,
        };
        if keeps_its_place {
            self.lanes.put_back(name, session);
        } else {
            self.lanes.forget(name, session);
        }
    }

    fn is_still_due(&self, session: SessionRef) -> bool {
        let due_at = self.vault.session(session).ok().flatten().and_then(|found| found.value.due_at);
        due_at.is_some_and(|at| at <= self.clock.now())
    }

    fn is_closed(&self, name: &ProviderName) -> bool {
        self.providers().get(name).is_some_and(|provider| provider.gate().closed(&self.clock).is_some())
    }

    /// Whether anything may be begun at a provider.
    fn may_begin(&self, name: &ProviderName) -> bool {
        let is_stopping = self.stop.is_cancelled() || self.is_leaving();
        !is_stopping && self.vault.fault().is_none() && !self.is_closed(name)
    }

    /// Who is next in a lane, when one more than `running` may be attended to.
    fn next_in(&self, name: &ProviderName, running: usize) -> Option<SessionRef> {
        let at_once = self.providers().get(name).map_or(AT_ONCE, |it| it.settings().courtesy.concurrency);
        // A quarter more: those whose answers are being written leave nobody idle at the gate, which counts who asks.
        if running >= at_once + at_once.div_ceil(4) || !self.may_begin(name) {
            return None;
        }
        self.lanes.all().get_mut(name)?.queue.pop_first().map(|(_, session)| session)
    }
}

impl Lanes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ProviderName, Lane>> {
        self.by_provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, name: &ProviderName, session: SessionRef, needed_by: UnixSeconds) -> bool {
        let mut lanes = self.all();
        if let Some(lane) = lanes.get_mut(name) {
            return lane.take_in(session, needed_by, self.longest);
        }
        lanes.entry(name.clone()).or_default().take_in(session, needed_by, self.longest)
    }

    /// A session that was on its way goes to the front again: what is needed later than it came behind it.
    fn put_back(&self, name: &ProviderName, session: SessionRef) {
        if let Some(lane) = self.all().get_mut(name) {
            let first = lane.queue.first().map_or(UnixSeconds(0), |(needed_by, _)| *needed_by);
            lane.queue.insert((first, session));
        }
    }

    fn forget(&self, name: &ProviderName, session: SessionRef) {
        if let Some(lane) = self.all().get_mut(name) {
            lane.known.remove(&session);
        }
    }
}

/// Tells that a lane has come to rest, however its work ended.
struct Rest<'a> {
    keeper: &'a Keeper,
    name: &'a ProviderName,
    is_taken: bool,
}

impl Rest<'_> {
    /// Rests, unless there is somebody in the lane again who need not wait; returns whether it does. In one: whoever lines up
    /// either sees the lane at rest and starts it, or is seen here.
    fn take(&mut self, may_begin: bool) -> bool {
        let mut lanes = self.keeper.lanes.all();
        let mut is_done = true;
        if let Some(lane) = lanes.get_mut(self.name) {
            if may_begin && !lane.queue.is_empty() {
                return false;
            }
            lane.is_running = false;
            if lane.known.len() > lane.queue.len() {
                // Its work did not end well.
                lane.known = lane.queue.iter().map(|(_, session)| *session).collect();
            }
            is_done = lane.queue.is_empty() && !lane.left_some_out;
            if is_done {
                lanes.remove(self.name);
            }
        }
        self.is_taken = true;
        drop(lanes);
        if !is_done {
            // Somebody may have come at the last moment; there may be room now; and the gate may open before anything rings.
            self.keeper.agenda.notify_one();
        }
        self.keeper.lanes.rested.notify_waiters();
        true
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.take(false);
        }
    }
}

/// When the lap behind one from `began` to `ended` begins.
fn next_lap(began: Duration, ended: Duration) -> Duration {
    ended + LAP.max(ended.saturating_sub(began) * PAUSES)
}

#[cfg(test)]
mod tests;
