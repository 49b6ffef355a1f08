//! The commands, one file each.

mod completions;
mod erase;
mod history;
mod keys;
mod login;
mod logout;
mod metrics;
mod policy;
pub(crate) mod provider;
mod session;
mod sessions;
mod status;
mod store;
mod token;

use clap::Subcommand;

#[cfg(test)]
pub(crate) use completions::Shell;

use crate::context::Context;
use crate::failure::Failure;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Login),
    Token(token::Token),
    Sessions(sessions::Sessions),
    Session(session::Session),
    History(history::History),
    Logout(logout::Logout),
    Erase(erase::Erase),
    Provider(provider::Provider),
    Status(status::Status),
    Whoami(policy::Whoami),
    Policy(policy::Policy),
    Keys(keys::Keys),
    Metrics(metrics::Metrics),
    Store(store::Store),
    Completions(completions::Completions),
}

impl Command {
    /// Does it. Gives the exit status.
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Login(login) => login.run(context),
            Self::Token(token) => token.run(context),
            Self::Sessions(sessions) => sessions.run(context),
            Self::Session(session) => session.run(context),
            Self::History(history) => history.run(context),
            Self::Logout(logout) => logout.run(context),
            Self::Erase(erase) => erase.run(context),
            Self::Provider(provider) => provider.run(context),
            Self::Status(status) => status.run(context),
            Self::Whoami(whoami) => whoami.run(context),
            Self::Policy(policy) => policy.run(context),
            Self::Keys(keys) => keys.run(context),
            Self::Metrics(metrics) => metrics.run(context),
            Self::Store(store) => store.run(context),
            Self::Completions(completions) => completions.run(context),
        }
    }
}
