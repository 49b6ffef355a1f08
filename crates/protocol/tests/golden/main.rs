//! Pins the bytes of every payload. A line here never changes once it was released: a new layout gets a new type number.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod erasure;
mod notation;
mod oversight;
mod replies;
mod requests;
mod store;
