//! What stands on the command line of `tokenkeeperd`. Its manual page is made from this.

use std::path::PathBuf;

use clap::Parser;

use super::Options;

const MORE: &str = "\
Examples:
  tokenkeeperd --check-config       says what is wrong with the configuration, and starts nothing
  tokenkeeperd --user               your own daemon

Signals: SIGHUP reads the configuration again, SIGTERM stops in good order.

Environment: TOKENKEEPER_LOG sets what is logged (error, warn, info, debug).

Exit status: 0 stopped in good order, 64 wrong arguments, 74 input or output failed, 75 store or socket in use,
78 something to mend in configuration or keys.";

/// Keeps the OAuth and OpenID Connect sessions of this host
///
/// It logs users in, refreshes their tokens before they expire, and hands valid access tokens to local processes over a Unix socket.
/// tokenkeeper(1) is its command line.
#[derive(Debug, Parser)]
#[command(name = "tokenkeeperd", version, after_help = MORE)]
pub struct Arguments {
    /// Read this file, and conf.d/*.toml beside it [default: /etc/tokenkeeper/tokenkeeper.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve the user who starts it, from the XDG directories, instead of the host
    #[arg(long)]
    user: bool,
    /// Check the configuration, say what is wrong with it, and leave
    #[arg(long)]
    check_config: bool,
}

impl From<Arguments> for Options {
    fn from(Arguments { config, user, check_config }: Arguments) -> Self {
        Self { config, user, check_config }
    }
}
