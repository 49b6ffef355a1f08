//! `tokenkeeper provider set-secret`: from the keyboard to the one file that the daemon reads it from.
//!
//! Invariant: the secret is shown nowhere, stands on no command line and in no file but that one.

use std::env;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use nix::unistd::{User, geteuid};
use serde::Serialize;
use tokenkeeper_client::ProviderName;
use zeroize::Zeroizing;

use super::secret_file::{Owner, SecretError, SecretFile};
use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::{complete, hidden_line};

/// The daemon reads no more.
const MAX_BYTES: usize = 16 * 1024;
/// Where the host's daemon looks.
const SYSTEM_DIRECTORY: &str = "/etc/tokenkeeper/secrets";
/// As whom it runs.
const SYSTEM_USER: &str = "tokenkeeper";

const EXAMPLES: &str = "\
Examples:
  sudo tokenkeeper provider set-secret corp
  pass show corp | sudo tokenkeeper provider set-secret corp
  tokenkeeper provider set-secret corp --user     for your own tokenkeeperd --user

Exit status: 0 done, 65 that is no secret, 74 cannot be written, 77 not root, 78 no such user.";

/// Store the client secret of a provider where the daemon finds it
///
/// Asks for the secret without showing it, or reads it from standard input if that is no terminal. The file belongs to the daemon's
/// user, and nobody else can read it. What was there before is replaced as a whole.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetSecret {
    /// The provider, as the configuration names it
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    provider: ProviderName,

    /// For your own daemon, not for that of the host
    #[arg(long)]
    user: bool,

    /// Put the file into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "user")]
    dir: Option<PathBuf>,

    /// Give the file to this user [default: tokenkeeper; with --dir or --user, you]
    #[arg(long, value_name = "NAME", conflicts_with = "user")]
    owner: Option<String>,
}

impl SetSecret {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let directory = self.directory()?;
        let owner = self.owner(&directory)?;
        let file = SecretFile::prepare(&directory, self.provider.as_str(), owner)?;
        let secret = self.read()?;
        check(&secret)?;
        file.write(secret.as_bytes())?;
        let path = directory.join(self.provider.as_str());
        let object = Object { provider: self.provider.as_str(), file: path.display().to_string() };
        context.answer(self.next(&path), &object)?;
        Ok(0)
    }

    fn directory(&self) -> Result<PathBuf, SecretError> {
        if let Some(directory) = &self.dir {
            return Ok(directory.clone());
        }
        if !self.user {
            return Ok(PathBuf::from(SYSTEM_DIRECTORY));
        }
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        Ok(config.ok_or(SecretError::NoHome)?.join("tokenkeeper/secrets"))
    }

    /// Whose the file will be; nobody in particular if it is whoever runs this.
    fn owner(&self, directory: &Path) -> Result<Option<Owner>, SecretError> {
        let ours = self.user || self.dir.is_some();
        let Some(name) = self.owner.as_deref().or((!ours).then_some(SYSTEM_USER)) else { return Ok(None) };
        if !geteuid().is_root() {
            return Err(SecretError::NotRoot { directory: directory.to_owned() });
        }
        let user = User::from_name(name).ok().flatten().ok_or_else(|| SecretError::NoUser(name.to_owned()))?;
        Ok(Some(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: name.to_owned() }))
    }

    fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            tell(format_args!("Client secret of {} (it is not shown), then Enter:", self.provider));
            return hidden_line::read(&stdin, MAX_BYTES + 1);
        }
        // Never grows, so that no copy of it stays behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 3));
        stdin.lock().take(MAX_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(Failure::Input)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NoText)?;
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// What is to be done now.
    fn next(&self, path: &Path) -> String {
        let name = &self.provider;
        let reload = if self.user {
            format!("Let your daemon read it again (SIGHUP), and try it:\n  tokenkeeper provider test {name}\n")
        } else {
            format!("Then:\n  sudo systemctl reload tokenkeeperd && sudo tokenkeeper provider test {name}\n")
        };
        let line = match self.dir {
            Some(_) => format!("client_secret = {{ file = {:?} }}", path.display().to_string()),
            None => format!("client_secret = {{ file = \"{name}\" }}"),
        };
        let shown = plain(&path.display().to_string());
        format!(
            "Wrote {shown}.\nBelow [provider.{name}] of the configuration there must stand:\n  {}\n{reload}",
            plain(&line)
        )
    }
}

/// What the daemon would not take is not written.
fn check(secret: &str) -> Result<(), SecretError> {
    if secret.is_empty() {
        return Err(SecretError::Empty);
    }
    if secret.len() > MAX_BYTES {
        return Err(SecretError::TooLong(MAX_BYTES));
    }
    if secret.chars().any(char::is_control) { Err(SecretError::NoText) } else { Ok(()) }
}

#[derive(Serialize)]
struct Object<'a> {
    provider: &'a str,
    file: String,
}
