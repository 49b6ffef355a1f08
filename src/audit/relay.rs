//! Carries events from the outbox to syslog, on one thread, at whatever pace the receiver takes them.
//!
//! Invariant: an event leaves the outbox only after it was sent, and nothing is sent twice while the daemon lives, save what a broken
//! connection may have swallowed. A receiver that is absent or slow costs nobody but this thread, which waits and never spins.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::receiver::{NotTaken, Receiver};
use super::{Outbox, OutboxError};
use crate::config::AuditTarget;
use crate::failpoint::failpoint;
use crate::vital::Vital;

/// Events read at a time: some kilobytes of memory, and few enough that a reload takes effect soon.
const BATCH: usize = 64;
/// The pause after a batch that was not full: events that come one by one are removed from the outbox together.
const TOGETHER: Duration = Duration::from_millis(20);
/// The first wait after a failure: a syslog daemon that restarts is back about then.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait: records arrive this late at most, once their receiver is back.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait for a thread that was told to stop: a connection to one address, or a write.
const ONE_SEND: Duration = Duration::from_secs(5);

/// The thread, from outside. Dropping it stops the thread where it is, and waits until it has let go of the outbox; the events wait
/// there for the next start.
#[derive(Debug)]
pub struct Relay {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

/// Tells the relay that there is something new.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Desk>);

/// Where the thread and everyone else leave notes for each other. Its lock is held for moments, never while anything is sent.
#[derive(Debug, Default)]
struct Desk {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    woken: bool,
    new_target: Option<AuditTarget>,
    order: Order,
    fault: Option<String>,
    /// Whether everything was delivered, once the thread is done and has let go of the outbox.
    ended: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Run,
    /// Deliver what there is, then end.
    Drain,
    /// End.
    Stop,
}

impl Relay {
    /// Starts the thread; it sends what the outbox holds from before.
    pub fn start(outbox: Arc<dyn Outbox>, target: AuditTarget) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let receiver = Receiver::new(target);
        let worker =
            Worker { outbox, desk: Arc::clone(&desk), receiver, unconfirmed: Vec::new(), backoff: SHORTEST_BACKOFF };
        let thread = thread::Builder::new().name("audit-relay".into()).spawn(move || worker.run())?;
        Ok(Self { desk, thread })
    }

    /// There is something new in the outbox: to be called after it is durable there. Cheap, and never waits for the receiver.
    pub fn wake(&self) {
        self.desk.wake();
    }

    /// The same, to be kept by whoever writes to the outbox.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.desk))
    }

    /// Sends to `target` from now on, what waits included.
    pub fn retarget(&self, target: AuditTarget) {
        self.desk.change(|notes| notes.new_target = Some(target));
    }

    /// Why nothing gets through at the moment, in a sentence.
    pub fn fault(&self) -> Option<String> {
        self.desk.notes().fault.clone()
    }

    /// Delivers what the outbox holds and ends the thread. Blocks for at most `patience`; what is not delivered by then waits for the
    /// next start. Returns whether everything was.
    pub fn finish(&self, patience: Duration) -> bool {
        self.end(Order::Drain, patience) == Some(true)
    }

    /// Gives an order to end and waits for that; whether everything was delivered, if it has ended.
    fn end(&self, order: Order, patience: Duration) -> Option<bool> {
        self.desk.change(|notes| notes.order = order);
        let waiting = |notes: &mut Notes| notes.ended.is_none() && !self.thread.is_finished();
        let waited = self.desk.changed.wait_timeout_while(self.desk.notes(), patience, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }
}

impl Drop for Relay {
    /// The thread may be the last to hold the store behind the outbox. Closing that while the process exits would abort it.
    fn drop(&mut self) {
        self.end(Order::Stop, ONE_SEND);
    }
}

impl Waker {
    /// See [`Relay::wake`].
    pub fn wake(&self) {
        self.0.wake();
    }
}

impl Desk {
    /// The notes stay whole whatever panics, so a poisoned lock is as good as any.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes());
        self.changed.notify_all();
    }

    fn wake(&self) {
        self.change(|notes| notes.woken = true);
    }

    fn wait_for_work(&self) {
        let idle = |notes: &mut Notes| !notes.woken && notes.new_target.is_none() && notes.order == Order::Run;
        drop(self.changed.wait_while(self.notes(), idle));
    }

    /// Waits. New events do not cut it short, a new receiver or a new order does.
    fn pause(&self, pause: Duration, order: Order) {
        let unchanged = |notes: &mut Notes| notes.new_target.is_none() && notes.order == order;
        drop(self.changed.wait_timeout_while(self.notes(), pause, unchanged));
    }
}

/// The thread, from inside.
struct Worker {
    outbox: Arc<dyn Outbox>,
    desk: Arc<Desk>,
    receiver: Receiver,
    /// The last event that was sent and is still in the outbox.
    unconfirmed: Vec<u64>,
    backoff: Duration,
}

/// Why events stay in the outbox.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("audit records wait: {0}")]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Receiver(#[from] NotTaken),
}

/// What one round found in the outbox.
enum Found {
    /// As much as is read at a time.
    Much,
    Little,
    Nothing,
}

impl Worker {
    fn run(mut self) {
        let _vital = Vital("the thread that sends audit records");
        let delivered = self.carry();
        // Whoever waits for the end may close the store next: nothing here holds it any more.
        let desk = Arc::clone(&self.desk);
        drop(self);
        desk.change(|notes| notes.ended = Some(delivered));
    }

    /// Carries events until it is told to end; returns whether everything was delivered.
    fn carry(&mut self) -> bool {
        loop {
            let order = self.read_notes();
            if order == Order::Stop {
                return false;
            }
            match self.round() {
                Ok(Found::Little) if order == Order::Run => self.desk.pause(TOGETHER, order),
                Ok(Found::Much | Found::Little) => {}
                Ok(Found::Nothing) if order == Order::Drain => return true,
                Ok(Found::Nothing) => self.desk.wait_for_work(),
                Err(stuck) => {
                    self.desk.notes().fault = Some(stuck.to_string());
                    self.desk.pause(self.backoff, order);
                    self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    fn read_notes(&mut self) -> Order {
        let mut notes = self.desk.notes();
        notes.woken = false;
        if let Some(target) = notes.new_target.take().filter(|target| target != self.receiver.target()) {
            self.receiver = Receiver::new(target);
            self.backoff = SHORTEST_BACKOFF;
        }
        notes.order
    }

    /// Sends one batch. What was sent is removed, even when the rest could not be.
    fn round(&mut self) -> Result<Found, Stuck> {
        self.confirm()?;
        let batch = self.outbox.pending(BATCH)?;
        for (number, event) in &batch {
            failpoint!("outbox.before-send");
            if let Err(not_taken) = self.receiver.send(event) {
                self.confirm()?;
                return Err(not_taken.into());
            }
            self.unconfirmed.push(*number);
        }
        self.confirm()?;
        self.desk.notes().fault = None;
        self.backoff = SHORTEST_BACKOFF;
        Ok(match batch.len() {
            0 => Found::Nothing,
            BATCH.. => Found::Much,
            _ => Found::Little,
        })
    }

    /// Removes from the outbox what was sent.
    fn confirm(&mut self) -> Result<(), OutboxError> {
        if !self.unconfirmed.is_empty() {
            self.outbox.delivered(&self.unconfirmed)?;
            self.unconfirmed.clear();
            self.backoff = SHORTEST_BACKOFF;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
