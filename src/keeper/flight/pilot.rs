//! Does what the course of a flight says, and tells it what came of that.

use std::sync::Arc;

use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::Outcome;
use super::course::{Event, Flight, State};
use super::need::Found;
use super::outcome::{Changed, Known, settled};
use super::unwritten::Answered;
use crate::audit::What;
use crate::config::ProviderSettings;
use crate::domain::{self, Session};
use crate::failpoint::failpoint;
use crate::keeper::attend::{Attempt, Attended, Wish};
use crate::keeper::reuse::Lesson;
use crate::keeper::{Keeper, KeeperError, narrowed};
use crate::vault::{Intent, Versioned};

impl Keeper {
    /// Gives a session what it needs.
    ///
    /// # Cancel safety
    /// Not safe: a refresh token may be spent, and the new one is lost with the future.
    pub(in crate::keeper) async fn fly(&self, id: SessionRef, wish: Wish) -> Outcome {
        let mut flight = Flight::new(wish, self.unwritten.find(id));
        let mut answered_at = None;
        loop {
            let event = match &flight.state {
                State::Looking => Event::Found(self.find_out(id)),
                State::PuttingOff { session, until, .. } => Event::Written(self.put_off(session, *until).await),
                State::Closing { session, reason, now } => {
                    Event::Attended(self.require_login(session, reason.clone(), *now).await)
                }
                State::Revoking { session, now } => Event::Attended(self.revoke(session, wish, *now).await),
                State::Queueing(_) | State::Intending(..) | State::Asking(..) => {
                    flight = self.ask_provider(flight, wish).await;
                    answered_at = Some(self.clock.boot());
                    continue;
                }
                State::Rereading { answered, .. } => {
                    let session = self.vault.session_again(&answered.before).map(|session| self.with_use(session));
                    let session = session.map_err(KeeperError::from);
                    Event::Reread(session, self.known(&answered.settings))
                }
                State::Writing { answered, change, then, .. } => {
                    let written = self.write(answered, change.as_deref(), then).await;
                    if let (Ok(()), Ok(Attended::Renewed), Some(answered_at)) = (&written, then, answered_at) {
                        self.window.note(self.clock.boot().saturating_sub(answered_at));
                    }
                    Event::Written(written)
                }
                State::Keeping { answered, .. } => {
                    tracing::error!(session = %id, "the answer to a refresh waits in memory: it cannot be written");
                    self.unwritten.keep(Arc::clone(answered));
                    Event::Done
                }
                State::Showing(_) => {
                    self.publish_renewed(id);
                    failpoint!("refresh.published", id);
                    Event::Done
                }
                State::Landed(outcome) => return outcome.clone(),
            };
            flight = flight.next(event);
        }
    }

    /// From the gate to the answer: whoever passed it holds the pass until the answer is there. Behind the last look at the time,
    /// nothing is left to be done but the POST.
    async fn ask_provider(&self, flight: Flight, wish: Wish) -> Flight {
        let State::Queueing(errand) = &flight.state else { return flight };
        let (provider, before) = (Arc::clone(&errand.provider), errand.session.value.clone());
        let pass = match self.enter(&provider, &before, wish).await {
            Ok(pass) => pass,
            Err(error) => return flight.next(Event::Admitted(Err(error))),
        };
        let ready = match before.account() {
            None => match provider.prepare(&before, self.clock.now()).await {
                Ok(ready) => Some(ready),
                Err(outcome) => {
                    pass.came_back((&outcome).into());
                    return flight.next(Event::Unready(self.clock.now(), outcome));
                }
            },
            // Nothing is spent, so nothing can come too late.
            Some(_) => None,
        };
        // That may have taken a while. If the session was changed meanwhile, the intent is not written.
        let mut flight = flight.next(Event::Admitted(Ok(self.known(provider.settings()))));
        if let State::Intending(errand, now) = &flight.state {
            let written = self.intend(&errand.session, *now).await;
            flight = flight.next(Event::Intended(written.map(|()| self.known(provider.settings()))));
        }
        if let State::Asking(_, now) = &flight.state {
            let outcome = match &ready {
                Some(ready) => provider.refresh(ready, &before, *now).await,
                None => provider.client_credentials(&before.scopes, &before.resource, *now).await,
            };
            failpoint!("refresh.answered", before.id);
            pass.came_back((&outcome).into());
            flight = flight.next(Event::Answered(outcome));
        }
        flight
    }

    fn find_out(&self, id: SessionRef) -> Result<Found, KeeperError> {
        let Some(session) = self.with_use(self.vault.session(id)?) else {
            return Err(KeeperError::NoSuchSession { session: id });
        };
        let provider = self.providers.load().get(&session.value.provider).cloned();
        let grace = provider.as_ref().map(|provider| self.grace(provider.settings())).unwrap_or_default();
        let is_stale = self.vault.is_quarantined(id)?;
        Ok(Found { session, now: self.clock.now(), provider, grace, is_stale, era: self.clock.era() })
    }

    /// The same with the time when it was last asked for: the cache knows it to the second, the record as of the last write.
    fn with_use(&self, session: Option<Versioned<Session>>) -> Option<Versioned<Session>> {
        let mut session = session?;
        if let Some(live) = self.cache.find(session.value.id) {
            session.value.last_used_at = live.used_at().max(session.value.last_used_at);
        }
        Some(session)
    }

    fn known(&self, settings: &ProviderSettings) -> Known {
        let (now, era) = (self.clock.now(), self.clock.era());
        Known { now, grace: self.grace(settings), era, random: rand::random() }
    }

    async fn put_off(&self, session: &Versioned<Session>, until: UnixSeconds) -> Result<(), Attempt> {
        let mut change = self.vault.change(self.clock.now());
        change.update(session, &Session { due_at: Some(until), ..session.value.clone() })?;
        Ok(change.commit().await?)
    }

    async fn intend(&self, session: &Versioned<Session>, at: UnixSeconds) -> Result<(), Attempt> {
        failpoint!("refresh.before-intent", session.value.id);
        let intent = Intent { generation: session.value.generation, at };
        let mut change = self.vault.change(at);
        change.unchanged(session).intend(session.value.id, &intent)?;
        change.commit().await?;
        failpoint!("refresh.intended", session.value.id);
        Ok(())
    }

    /// One batch: the session, what was learned of its provider, what is told of it, and the end of the intent.
    async fn write(&self, answered: &Answered, changed: Option<&Changed>, verdict: &Outcome) -> Result<(), Attempt> {
        let mut change = self.vault.change(self.clock.now());
        change.settle(answered.session());
        let mut lesson = Lesson::default();
        if let Some(Changed { old, new }) = changed {
            change.update(old, new)?;
            let Answered { before, sent_at, outcome, settings, .. } = answered;
            lesson = self.lesson(&before.value, *sent_at, outcome, settings);
            lesson.keep(&mut change, &settings.name)?;
            for event in events(&answered.before.value, new, verdict) {
                change.audit(event)?;
            }
        }
        failpoint!("refresh.before-result", answered.session());
        change.commit().await?;
        failpoint!("refresh.kept", answered.session());
        self.unwritten.forget(answered.session());
        self.learned(&answered.settings, lesson);
        Ok(())
    }

    /// A session as it will be once the answer is written that waits for it, if one does.
    pub(in crate::keeper) fn with_unwritten(&self, session: Versioned<Session>) -> Session {
        let Some(answered) = self.unwritten.find(session.value.id) else { return session.value };
        let (change, _) = settled(Some(session.clone()), &answered, self.known(&answered.settings));
        change.map_or(session.value, |change| change.new)
    }
}

/// What is told of a change by an answer.
fn events(before: &Session, new: &Session, verdict: &Outcome) -> Vec<What> {
    let (session, provider) = (new.id, new.provider.clone());
    match verdict {
        Ok(Attended::Renewed) => {
            let renewed = What::RefreshDone { session, provider, generation: new.generation };
            let narrowed = match &before.tokens {
                Some(spent) => narrowed::at_refresh(spent, new),
                // The first token of a service account.
                None => narrowed::at_login(new),
            };
            std::iter::once(renewed).chain(narrowed).collect()
        }
        Ok(_) => Vec::new(),
        Err(error) => {
            let lost = match &new.state {
                domain::State::NeedsLogin { reason, .. } => Some(reason.into()),
                _ => None,
            };
            vec![What::RefreshFailed { session, provider, why: error.cause(), lost }]
        }
    }
}
