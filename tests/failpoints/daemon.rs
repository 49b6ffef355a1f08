//! tokenkeeperd with failpoints: what `src/main.rs` is, built with the feature, as an example so that nothing installs it.

use std::process::ExitCode;

use clap::Parser;
use tokenkeeperd::daemon::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    daemon::log_to_stderr();
    daemon::run(&arguments.into())
}
