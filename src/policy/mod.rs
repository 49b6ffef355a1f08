//! Who may do what on whose sessions. Pure: a peer, an action, a target and the rules go in; a permit or a denial comes out.
//!
//! Nothing is allowed without a rule, root included. A [`Permit`] can only be made here, so whoever holds one was judged.

mod judge;
mod rule;

pub use judge::{Denial, Permit, Target, concerns, judge};
pub use rule::{Action, Reach, Rule, Rules, Who};
