//! `tokenkeeperd`: arguments in, exit status out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokenkeeperd::daemon::{self, Options};

/// Keeps the OAuth and OpenID Connect sessions of this host: logs users in, refreshes their tokens before they expire,
/// and hands valid access tokens to local processes over a Unix socket.
#[derive(Parser)]
#[command(
    version,
    after_help = "Signals: SIGHUP reads the configuration again, SIGTERM stops in good order.\n\
        Environment: TOKENKEEPER_LOG sets what is logged (error, warn, info, debug).\n\
        Exit status: 0 stopped in good order, 64 wrong arguments, 78 something to mend in configuration or keys, 75 store or socket in use,\n\
        74 input or output failed."
)]
struct Arguments {
    /// Read this file, and conf.d/*.toml beside it [default: /etc/tokenkeeper/tokenkeeper.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve the user who starts it, from the XDG directories, instead of the host.
    #[arg(long)]
    user: bool,
    /// Check the configuration, say what is wrong with it, and leave.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let Arguments { config, user, check_config } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    daemon::log_to_stderr();
    daemon::run(&Options { config, user, check_config })
}

/// Prints help, version or what is wrong with the arguments.
fn explain(error: &clap::Error) -> ExitCode {
    const USAGE: u8 = 64;
    // If even this cannot be printed, there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
