//! Wiring: from a configuration to a running daemon, and back to an empty process.

mod anchor;
mod arguments;
mod counts;
mod error;
mod keys;
mod locked;
mod log;
mod notify;
mod reload;
mod restore;
mod running;
mod setup;
mod shutdown;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::config::{Environment, Mode, Source, load};

pub use arguments::Arguments;
pub use error::StartError;
pub use log::log_to_stderr;
pub use restore::{Restore, RestoreError};
pub use setup::CredentialError;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The main configuration file, if named.
    pub config: Option<PathBuf>,
    /// Serve one user instead of the host.
    pub user: bool,
    /// What is to be done.
    pub task: Task,
}

/// What a process of this program is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve until told to stop.
    Serve,
    /// Check the configuration and leave.
    CheckConfig,
    /// Fill an empty store from a backup and leave.
    Restore(Restore),
    /// Make the identity of the host and leave.
    SetUp {
        /// Replace the one that is there.
        rekey: bool,
        /// Keep it in a file, whatever systemd can do.
        file: bool,
    },
}

impl Options {
    fn source(&self) -> Source {
        let mode = if self.user { Mode::User } else { Mode::System };
        Source { mode, file: self.config.clone(), only_checked: self.task != Task::Serve }
    }
}

/// Does what the command line asks for, and returns when that is done or the daemon was told to stop.
pub fn run(options: &Options) -> ExitCode {
    let done = match &options.task {
        Task::Serve => serve(options),
        Task::CheckConfig => check(options),
        Task::SetUp { rekey, file } => setup::set_up(options, *rekey, *file),
        Task::Restore(restore) => run_restore(options, restore),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::complain(error.words());
            ExitCode::from(error.exit_status())
        }
    }
}

fn check(options: &Options) -> Result<(), StartError> {
    let loaded = load(&options.source(), &Environment::of_process())?;
    for warning in &loaded.warnings {
        log::complain(format_args!("warning: {warning}"));
    }
    reload::providers(&loaded.settings.providers, None)?;
    let counted = |number: usize, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let (files, providers) = (loaded.files.len(), loaded.settings.providers.len());
    let (files, providers) = (counted(files, "file"), counted(providers, "provider"));
    log::say(format_args!("the configuration is valid: {files}, {providers}"));
    Ok(())
}

fn run_restore(options: &Options, restore: &Restore) -> Result<(), StartError> {
    nix::sys::prctl::set_dumpable(false).map_err(|errno| StartError::Process(errno.into()))?;
    Runtime::new().map_err(StartError::Process)?.block_on(restore::restore(options, restore))
}

fn serve(options: &Options) -> Result<(), StartError> {
    nix::sys::prctl::set_dumpable(false).map_err(|errno| StartError::Process(errno.into()))?;
    let runtime = Runtime::new().map_err(StartError::Process)?;
    // From here on, for every thread that is started by this one. Those that serve are there already.
    if let Err(error) = tokenkeeper_sys::interrupt_nobody() {
        tracing::debug!(%error, "refreshes can interrupt requests, which wait a little longer");
    }
    // Another runtime, so that whoever asks for a token never waits behind a refresh: what seals, opens and speaks to providers has
    // threads of its own, and the kernel lets those that serve interrupt these, and not the other way round.
    let work = Builder::new_multi_thread().thread_name("work").enable_all().build().map_err(StartError::Process)?;
    runtime.block_on(async {
        if let Some(running) = start::start(options, work.handle().clone()).await? {
            running.until_told_to_stop().await;
        }
        Ok(())
    })
}
