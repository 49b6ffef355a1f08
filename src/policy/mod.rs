//! Who may do what on whose sessions. Pure: a peer, an action, a target and the rules go in; a permit or a denial comes out.
//!
//! Nothing is allowed without a rule, root included. A [`Permit`] can only be made here, so whoever holds one was judged.
//! Every rule is weighed by one function (`weigh`), for the judgement and for its explanation alike.

mod explain;
mod judge;
mod rule;
mod user_map;
mod weigh;

pub use explain::{Question, Weighed};
pub use judge::{Denial, Permit, Reaches, Target, about, concerns, judge};
pub use rule::{Action, On, Reach, Rule, Rules, Who};
pub use user_map::UserMap;
pub use weigh::{Obstacle, Outcome};
