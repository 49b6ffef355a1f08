//! `tokenkeeper completions`: the script that makes a shell complete this command.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::complete::VARIABLE;
use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper completions bash | sudo tee /usr/share/bash-completion/completions/tokenkeeper > /dev/null
  tokenkeeper completions zsh | sudo tee /usr/share/zsh/site-functions/_tokenkeeper > /dev/null
  tokenkeeper completions fish > ~/.config/fish/completions/tokenkeeper.fish

Exit status: 0 done, 64 wrong usage, 74 cannot write.";

/// Print what makes a shell complete this command
///
/// The script asks this program, and this program the daemon: providers, sessions and accounts are completed too, as far as you may
/// see them. Where the daemon does not answer at once, they are not. Packages bring the script; make it anew after an upgrade by hand.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// A shell that can be helped.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(&self, _context: &Context) -> Result<u8, Failure> {
        let script = self.shell.script().map_err(Failure::Output)?;
        let mut out = io::stdout().lock();
        out.write_all(&script).and_then(|()| out.flush()).map_err(Failure::Output)?;
        Ok(0)
    }
}

impl Shell {
    pub(crate) fn script(self) -> io::Result<Vec<u8>> {
        let completer: &dyn EnvCompleter = match self {
            Self::Bash => &Bash,
            Self::Zsh => &Zsh,
            Self::Fish => &Fish,
        };
        let mut script = Vec::new();
        completer.write_registration(VARIABLE, "tokenkeeper", "tokenkeeper", "tokenkeeper", &mut script)?;
        Ok(script)
    }
}
