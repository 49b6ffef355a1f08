//! A flight: what a session needs now, done once for everybody who waits for it.
//!
//! [`course`] decides what is done next, with the help of [`need`] and [`outcome`]; all three are pure. [`pilot`] does it.
//! `explore` has a model do it instead, in every order in which store, provider and others can get in the way.

mod course;
#[cfg(test)]
mod explore;
mod need;
mod outcome;
mod passengers;
mod pilot;
mod unwritten;

pub(super) use self::outcome::interrupted;
pub(super) use self::passengers::{Flights, Outcome, Ticket};
pub(super) use self::unwritten::Unwritten;
