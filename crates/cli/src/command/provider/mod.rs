//! `tokenkeeper provider`: the providers of the configuration, and whether they work.

mod list;
mod secret_file;
mod set_secret;
mod show;
mod test;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;

pub(crate) use secret_file::SecretError;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper provider list
  tokenkeeper provider test corp            does it work, and if not, what to do
  sudo tokenkeeper provider set-secret corp

Exit status: that of the command; `provider test` ends with 1 if the provider does not work.";

/// Look at providers, test them, and give them their client secrets
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Provider {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Test(test::Test),
    SetSecret(set_secret::SetSecret),
}

impl Provider {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.command {
            Command::List(list) => list.run(context),
            Command::Show(show) => show.run(context),
            Command::Test(test) => test.run(context),
            Command::SetSecret(set) => set.run(context),
        }
    }
}
