//! Reads the configuration and checks all of it: what comes out is plain and valid, and whoever holds it need not check again.
//!
//! All errors of all files are reported at once, each as `file:line:column: what is wrong, what is allowed`. A value that
//! may be secret is never repeated in a message. The environment comes in as a parameter.
//!
//! [`load`] goes through the other files top-down: find and read ([`places`], `files`), parse (`document`, `table`), put the
//! tables of all files together (`tables`), and make settings of them (`provider`, `user_map`, `allow`, `sections`).

mod account;
mod allow;
pub mod custom;
mod document;
mod endpoint;
mod files;
mod finding;
mod keys;
mod load;
mod nobody;
pub mod places;
mod provider;
mod secret;
mod sections;
pub mod settings;
mod table;
mod tables;
mod user_map;
mod value;
mod who;

#[cfg(test)]
mod allow_tests;
#[cfg(test)]
mod guide_tests;
#[cfg(test)]
mod provider_tests;
#[cfg(test)]
mod test_host;

pub use finding::{ConfigErrors, Finding, Place};
pub use load::{Loaded, load};
pub use nobody::Nobody;
pub use places::{Environment, Mode, Source};
pub use settings::{
    AccountSettings, AuditTarget, ClientAuthentication, DaemonSettings, Endpoints, ProviderKind, ProviderSettings,
    RedirectUri, RefreshMode, ScheduleSettings, Settings,
};
pub(crate) use table::suggest;
