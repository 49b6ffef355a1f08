//! The commands, one file each.

mod history;
mod login;
mod logout;
mod metrics;
mod policy;
mod session;
mod sessions;
mod status;
mod token;

use clap::Subcommand;

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
    /// Show how the daemon is doing
    Status,
    /// Show who you are to the daemon, and which rules are about you
    Whoami,
    Policy(policy::Policy),
    Metrics(metrics::Metrics),
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
            Self::Status => status::run(context),
            Self::Whoami => policy::who_am_i(context),
            Self::Policy(policy) => policy.run(context),
            Self::Metrics(metrics) => metrics.run(context),
        }
    }
}
