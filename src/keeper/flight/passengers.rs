//! One piece of work at the provider per session at a time; everybody who wants it waits for the same one.
//!
//! The work is a task of the daemon: a caller that hangs up cancels nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokenkeeper_protocol::SessionRef;
use tokio::sync::watch;

use crate::keeper::{Attended, KeeperError};

/// What came of the work.
pub(in crate::keeper) type Outcome = Result<Attended, KeeperError>;

/// The flights in the air.
#[derive(Default)]
pub(in crate::keeper) struct Flights {
    running: Mutex<HashMap<SessionRef, watch::Receiver<Option<Outcome>>>>,
}

/// A place on a flight.
pub struct Ticket(watch::Receiver<Option<Outcome>>);

/// The duty to land a flight. Dropping it without an outcome lands it too: its passengers learn that it failed.
pub(in crate::keeper) struct Landing<'a> {
    flights: &'a Flights,
    session: SessionRef,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// A ticket for the running flight of a session, and the duty to run it when there was none.
    pub(in crate::keeper) fn board(&self, session: SessionRef) -> (Ticket, Option<watch::Sender<Option<Outcome>>>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = running.get(&session) {
            return (Ticket(flight.clone()), None);
        }
        let (outcome, flight) = watch::channel(None);
        running.insert(session, flight.clone());
        (Ticket(flight), Some(outcome))
    }

    /// What the one who runs the flight holds while it does.
    pub(in crate::keeper) fn landing(
        &self,
        session: SessionRef,
        outcome: watch::Sender<Option<Outcome>>,
    ) -> Landing<'_> {
        Landing { flights: self, session, outcome }
    }
}

impl Landing<'_> {
    /// Tells the passengers.
    pub(in crate::keeper) fn land(self, outcome: Outcome) {
        self.clear();
        self.outcome.send_replace(Some(outcome));
    }

    fn clear(&self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.session);
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if self.outcome.borrow().is_none() {
            self.clear();
        }
    }
}

impl Ticket {
    /// Waits for the flight to land.
    ///
    /// # Cancel safety
    /// Safe: the flight goes on without this passenger.
    pub async fn outcome(mut self) -> Result<Attended, KeeperError> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(KeeperError::Internal)),
            Err(_) => Err(KeeperError::Internal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionRef {
        SessionRef::from_random([1; 5])
    }

    #[tokio::test]
    async fn all_passengers_of_a_flight_get_its_outcome_and_the_next_one_is_another() {
        let flights = Flights::default();
        let (first, pilot) = flights.board(session());
        let (second, none) = flights.board(session());
        assert!(none.is_none());
        flights.landing(session(), pilot.unwrap()).land(Ok(Attended::Renewed));
        assert_eq!(first.outcome().await, Ok(Attended::Renewed));
        assert_eq!(second.outcome().await, Ok(Attended::Renewed));
        assert!(flights.board(session()).1.is_some());
    }

    #[tokio::test]
    async fn a_flight_that_crashes_strands_nobody() {
        let flights = Flights::default();
        let (passenger, pilot) = flights.board(session());
        drop(flights.landing(session(), pilot.unwrap()));
        assert_eq!(passenger.outcome().await, Err(KeeperError::Internal));
        assert!(flights.board(session()).1.is_some());
    }
}
