//! What is due, lined up by provider: one that is slow, or down, keeps nobody waiting but its own sessions.
//!
//! Invariant: of a provider's sessions, whichever expires soonest is attended to next, and no more at once than may be asked of it.
//! The agenda in the store stays the truth: a lane holds no more than [`LONGEST`] of it, and is made anew by reading it again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds};
use tokio::sync::Notify;

use super::{Keeper, KeeperError, Wish};
use crate::domain::Session;
use crate::vault::AgendaItem;

/// Sessions read from the agenda in one go.
const AGENDA_PAGE: usize = 256;
/// Of these, so many are opened before somebody else has the thread.
const IN_ONE_GO: usize = 16;
/// Sessions that are lined up for one provider; the others are read when there is room.
const LONGEST: usize = 16_384;
/// How far behind the last one the agenda is read again: what was written meanwhile may stand a little before it.
const OVERLAP: Duration = Duration::from_secs(2);
/// How often the whole of it is: what could not be done is tried again, and what stands far behind is found.
const LAP: Duration = Duration::from_secs(10);
/// Requests at once for sessions whose provider is not configured any more: none is made.
const AT_ONCE: usize = 8;

/// The lanes.
#[derive(Default)]
pub(super) struct Lanes {
    by_provider: Mutex<BTreeMap<ProviderName, Lane>>,
    /// Rings when a lane comes to rest.
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
    /// When the last whole lap was, in boot time.
    lap_at: Option<Duration>,
}

impl Lane {
    /// Takes a session in, unless it is there; returns whether it is new. The one that expires last makes room.
    fn take_in(&mut self, session: SessionRef, expires_at: UnixSeconds) -> bool {
        if !self.known.insert(session) {
            return false;
        }
        self.queue.insert((expires_at, session));
        if self.queue.len() > LONGEST
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

    /// The same for all that is due, however long it has been; returns when every lane has come to rest.
    ///
    /// # Cancel safety
    /// Safe: what was begun goes on.
    ///
    /// # Errors
    /// As [`Keeper::line_up`].
    pub async fn attend_to_all_due(self: &Arc<Self>, now: UnixSeconds) -> Result<usize, KeeperError> {
        let mut attended = 0;
        loop {
            attended += self.read_agenda(now, true).await?;
            self.lanes_at_rest().await;
            let mut lanes = self.lanes.all();
            if !lanes.values_mut().any(|lane| lane.queue.is_empty() && std::mem::take(&mut lane.left_some_out)) {
                return Ok(attended);
            }
        }
    }

    /// Returns when nothing is attended to.
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
        let boot = self.clock.boot();
        let is_lap = whole
            || reader.until.is_none_or(|until| until > now)
            || reader.lap_at.is_none_or(|at| boot.saturating_sub(at) >= LAP || boot < at)
            || self.lanes.all().values().any(|lane| lane.left_some_out && lane.queue.is_empty());
        let mut after: Option<AgendaItem> = None;
        if is_lap {
            reader.lap_at = Some(boot);
            self.lanes.all().values_mut().for_each(|lane| lane.left_some_out = false);
        } else if let Some(until) = reader.until {
            after = Some((until - OVERLAP, SessionRef::from_random([0; 5])));
        }
        let mut lined_up = 0;
        for session in self.unwritten.sessions() {
            lined_up += usize::from(self.line_one_up(session));
        }
        loop {
            let items = self.vault.due(now, after, AGENDA_PAGE)?;
            for some in items.chunks(IN_ONE_GO) {
                for (_, session) in some {
                    lined_up += usize::from(self.line_one_up(*session));
                }
                tokio::task::yield_now().await;
            }
            self.start_lanes();
            self.lanes.grown.notify_waiters();
            let Some(last) = items.last() else { break };
            let from = after.replace(*last);
            if whole && let Err(error) = self.vault.mend_due(from, &items).await {
                tracing::error!(%error, "the agenda cannot be checked");
            }
        }
        reader.until = Some(now);
        Ok(lined_up)
    }

    /// Lines a session up with the others of its provider; returns whether it is new there.
    fn line_one_up(&self, session: SessionRef) -> bool {
        if let Some(live) = self.cache.find(session) {
            return self.lanes.take_in(&live.provider, session, live.expires_at);
        }
        if self.lanes.all().values().any(|lane| lane.known.contains(&session)) {
            return false;
        }
        match self.vault.session(session) {
            Ok(Some(found)) => self.lanes.take_in(&found.value.provider, session, expiry(&found.value)),
            Ok(None) => false,
            Err(error) => {
                tracing::error!(%session, %error, "a session that is due cannot be attended to");
                true
            }
        }
    }

    /// Sets every lane to work in which somebody waits, and whose provider may be asked.
    fn start_lanes(self: &Arc<Self>) {
        for (name, lane) in self.lanes.all().iter_mut() {
            if !lane.is_running && !lane.queue.is_empty() && !self.is_closed(name) {
                lane.is_running = true;
                self.spawn(Arc::clone(self).work_off(name.clone()));
            }
        }
    }

    /// Attends to the sessions of a lane until nobody waits, or nothing may be asked of the provider.
    async fn work_off(self: Arc<Self>, name: ProviderName) {
        let at_rest = Rest { keeper: &self, name: &name };
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
            let Some((session, outcome)) = landed else { break };
            match &outcome {
                // It came to a closed gate, and keeps its place.
                Err(KeeperError::ProviderDown { .. }) if self.is_closed(&name) => self.lanes.put_back(&name, session),
                _ => self.lanes.forget(&name, session),
            }
            // What a provider has to do with is in the audit trail; this is not.
            if let Err(error @ (KeeperError::StoreDown { .. } | KeeperError::Internal)) = outcome {
                tracing::error!(%session, %error, "a session that is due cannot be attended to");
            }
        }
        drop(at_rest);
    }

    fn is_closed(&self, name: &ProviderName) -> bool {
        self.providers().get(name).is_some_and(|provider| provider.gate().closed(&self.clock).is_some())
    }

    /// Who is next in a lane, when one more than `running` may be attended to.
    fn next_in(&self, name: &ProviderName, running: usize) -> Option<SessionRef> {
        let at_once = self.providers().get(name).map_or(AT_ONCE, |it| it.settings().courtesy.concurrency);
        if self.stop.is_cancelled() || self.is_leaving() || running >= at_once || self.is_closed(name) {
            return None;
        }
        self.lanes.all().get_mut(name)?.queue.pop_first().map(|(_, session)| session)
    }
}

impl Lanes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ProviderName, Lane>> {
        self.by_provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, name: &ProviderName, session: SessionRef, expires_at: UnixSeconds) -> bool {
        let mut lanes = self.all();
        if let Some(lane) = lanes.get_mut(name) {
            return lane.take_in(session, expires_at);
        }
        lanes.entry(name.clone()).or_default().take_in(session, expires_at)
    }

    /// A session that was on its way goes to the front again: what expires later than it came behind it.
    fn put_back(&self, name: &ProviderName, session: SessionRef) {
        if let Some(lane) = self.all().get_mut(name) {
            let first = lane.queue.first().map_or(UnixSeconds(0), |(expires_at, _)| *expires_at);
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
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut lanes = self.keeper.lanes.all();
        if let Some(lane) = lanes.get_mut(self.name) {
            lane.is_running = false;
            lane.known = lane.queue.iter().map(|(_, session)| *session).collect();
            if lane.queue.is_empty() && !lane.left_some_out {
                lanes.remove(self.name);
            }
        }
        drop(lanes);
        self.keeper.lanes.rested.notify_waiters();
    }
}

/// By when a session has to be attended to, so that nobody notices.
fn expiry(session: &Session) -> UnixSeconds {
    session.tokens.as_ref().map_or(session.ends_at, |tokens| tokens.access.expires_at)
}
