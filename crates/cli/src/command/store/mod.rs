//! `tokenkeeper store`: the store of the daemon as a whole.

mod accept_rollback;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Example:
  sudo tokenkeeper store accept-rollback

Exit status: that of the command.";

/// Look after the store
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    AcceptRollback(accept_rollback::AcceptRollback),
}

impl Store {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.command {
            Command::AcceptRollback(accept) => accept.run(context),
        }
    }
}
