//! Wiring: from a configuration to a running daemon, and back to an empty process.

mod anchor;
mod arguments;
mod counts;
mod error;
mod keys;
mod log;
mod notify;
mod reload;
mod running;
mod shutdown;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::config::{Environment, Mode, Source, load};

pub use arguments::Arguments;
pub use error::StartError;
pub use log::log_to_stderr;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The main configuration file, if named.
    pub config: Option<PathBuf>,
    /// Serve one user instead of the host.
    pub user: bool,
    /// Check the configuration and leave.
    pub check_config: bool,
}

impl Options {
    fn source(&self) -> Source {
        let mode = if self.user { Mode::User } else { Mode::System };
        Source { mode, file: self.config.clone(), only_checked: self.check_config }
    }
}

/// Does what the command line asks for, and returns when that is done or the daemon was told to stop.
pub fn run(options: &Options) -> ExitCode {
    let done = if options.check_config { check(options) } else { serve(options) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.words());
            ExitCode::from(error.exit_status())
        }
    }
}

fn check(options: &Options) -> Result<(), StartError> {
    let loaded = load(&options.source(), &Environment::of_process())?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    reload::providers(&loaded.settings.providers, None)?;
    println!("the configuration is valid: {} files, {} providers", loaded.files.len(), loaded.settings.providers.len());
    Ok(())
}

fn serve(options: &Options) -> Result<(), StartError> {
    nix::sys::prctl::set_dumpable(false).map_err(|errno| StartError::Process(errno.into()))?;
    let runtime = Runtime::new().map_err(StartError::Process)?;
    runtime.block_on(async {
        let running = start::start(options).await?;
        running.until_told_to_stop().await;
        Ok(())
    })
}
