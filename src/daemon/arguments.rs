//! What stands on the command line of `tokenkeeperd`. Its manual page is made from this.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{Options, Restore, Task};

#[cfg(not(feature = "failpoints"))]
const VERSION: &str = env!("CARGO_PKG_VERSION");
#[cfg(feature = "failpoints")]
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " with failpoints, for tests");

const MORE: &str = "\
Examples:
  tokenkeeperd --check-config       says what is wrong with the configuration, and starts nothing
  tokenkeeperd --user               your own daemon
  tokenkeeperd setup                makes the identity of this host, if it has none
  tokenkeeperd restore moved.age --identity-file backup.key

Signals: SIGHUP reads the configuration again, SIGTERM stops in good order.

Environment: TOKENKEEPER_LOG sets what is logged (error, warn, info, debug).

Exit status: 0 stopped in good order, 64 wrong arguments, 74 input or output failed, 75 store or socket in use,
78 something to mend in configuration or keys.";

/// Keeps the OAuth and OpenID Connect sessions of this host
///
/// It logs users in, refreshes their tokens before they expire, and hands valid access tokens to local processes over a Unix socket.
/// tokenkeeper(1) is its command line.
#[derive(Debug, Parser)]
#[command(name = "tokenkeeperd", version = VERSION, after_help = MORE, args_conflicts_with_subcommands = false, subcommand_value_name = "COMMAND")]
pub struct Arguments {
    /// Read this file, and conf.d/*.toml beside it [default: /etc/tokenkeeper/tokenkeeper.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Serve the user who starts it, from the XDG directories, instead of the host
    #[arg(long, global = true)]
    user: bool,
    /// Check the configuration, say what is wrong with it, and leave
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(Setup),
    Restore(RestoreArguments),
}

/// Make the identity of this host, which opens the keyring, and leave
///
/// It is sealed by systemd-creds with the TPM 2.0 chip or the key of the host, where that works; else it is a file that only the
/// daemon's user can read. What is there already stays. Runs as root, by tokenkeeperd-setup.service before every start.
#[derive(Debug, Args)]
struct Setup {
    /// Replace the identity that is there, and encrypt the keyring to the new one; restart the daemon then
    #[arg(long)]
    rekey: bool,
    /// Keep it in a file, whatever systemd can do
    #[arg(long)]
    file: bool,
}

/// Fill an empty store from a file of `tokenkeeper store backup` or `move-out`, and leave
///
/// The daemon must be stopped, and this must run as its user. Refresh tokens in a backup may have been spent since it was taken, and
/// many providers end a session when one is spent twice: so each is tried only once its access token has expired, or when
/// `tokenkeeper store accept-rollback` has said that all is well. From the file of `tokenkeeper store move-out`, nothing was spent: for
/// a day it is restored as if nothing had happened.
#[derive(Debug, Args)]
struct RestoreArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The age identity that opens it
    #[arg(long, value_name = "FILE")]
    identity_file: PathBuf,
    /// Use the refresh tokens as if they had never been spent: for providers that do not rotate them
    #[arg(long)]
    try_stale: bool,
}

impl From<Arguments> for Options {
    fn from(Arguments { config, user, check_config, command }: Arguments) -> Self {
        let task = match command {
            // Whatever stands beside it: who checks wants nothing to be done.
            _ if check_config => Task::CheckConfig,
            Some(Command::Setup(Setup { rekey, file })) => Task::SetUp { rekey, file },
            Some(Command::Restore(RestoreArguments { file, identity_file, try_stale })) => {
                Task::Restore(Restore { file, identity_file, try_stale })
            }
            None => Task::Serve,
        };
        Self { config, user, task }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Task {
        Options::from(Arguments::try_parse_from(line.split(' ')).unwrap()).task
    }

    #[test]
    fn who_checks_the_configuration_has_nothing_else_done() {
        assert_eq!(task("tokenkeeperd"), Task::Serve);
        assert_eq!(task("tokenkeeperd setup --rekey"), Task::SetUp { rekey: true, file: false });
        for line in ["--check-config", "--check-config setup --rekey", "--check-config restore x --identity-file y"] {
            assert_eq!(task(&format!("tokenkeeperd {line}")), Task::CheckConfig, "{line}");
        }
    }
}
