//! `tokenkeeper store`: the daemon's store as a whole, for whoever looks after the host.

mod accept_rollback;
mod backup;
mod move_out;
mod stats;
mod verify;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper store stats
  sudo tokenkeeper store verify
  sudo tokenkeeper store backup --output /root/tokenkeeper.age
  sudo tokenkeeper store move-out --output /root/moved.age
  sudo tokenkeeper store accept-rollback

Exit status: that of the command; `store verify` ends with 1 if something is wrong.";

/// See how large the store is, verify it, take a backup of it, move it, or accept that it was put back
///
/// A backup is restored by tokenkeeperd(8), into an empty store.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stats(stats::Stats),
    Verify(verify::Verify),
    Backup(backup::Backup),
    MoveOut(move_out::MoveOut),
    AcceptRollback(accept_rollback::AcceptRollback),
}

impl Store {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.command {
            Command::Stats(stats) => stats.run(context),
            Command::Verify(verify) => verify.run(context),
            Command::Backup(backup) => backup.run(context),
            Command::MoveOut(move_out) => move_out.run(context),
            Command::AcceptRollback(accept) => accept.run(context),
        }
    }
}
