//! The JSON form of replies, one view each: what `--json` prints and what the HTTP socket answers.
//!
//! Keys are stable: new ones may be added, none is renamed, removed or given another type (`docs/guide/json.md`). Times are
//! RFC 3339 in UTC, a value that is not known is `null`. A view borrows its reply and copies no token.

mod device;
mod erasure;
mod history;
mod keys;
mod login;
mod logout;
mod policy;
mod problem;
mod provider;
mod rollback;
mod session;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod token;

pub use device::DeviceBegun;
pub use erasure::Erasure;
pub use history::{HistoryEntry, HistoryPage};
pub use keys::{Keys, KeysRecovered, KeysRotating, KeysRotation};
pub use login::{LoggedIn, LoginBegun, User};
pub use logout::LoggedOut;
pub use policy::{Explanation, Identity, Rule, RuleOutcome};
pub use problem::ProblemDetails;
pub use provider::{Provider, ProviderReport, ProviderStep, Providers};
pub use rollback::RollbackAccepted;
pub use session::{Session, SessionSummary, SessionsPage};
pub use status::{ProviderStatus, Refused, SessionCounts, Status};
pub use store::{Finding, MovedOut, StoreStats};
pub use time::rfc3339;
pub use token::Token;
