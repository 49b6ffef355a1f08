//! `tokenkeeperd`: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser;
use tokenkeeperd::daemon::{self, Arguments};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    daemon::log_to_stderr();
    daemon::run(&arguments.into())
}

/// Prints help, version or what is wrong with the arguments.
fn explain(error: &clap::Error) -> ExitCode {
    const USAGE: u8 = 64;
    // If even this cannot be printed, there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
