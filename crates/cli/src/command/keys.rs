//! `tokenkeeper keys`: the keys of the daemon's store, for whoever looks after the host.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokenkeeper_client::reply::{KeysRecovered, KeysReply, KeysRotation};
use tokenkeeper_client::{KeysRecover, Secret};
use tokenkeeper_protocol::json;
use zeroize::Zeroizing;

use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::hidden_line;
use crate::table::Table;

/// An identity with its comments takes less than 300 bytes.
const MAX_BYTES: usize = 4096;
/// The daemon opens its store before it answers.
const PATIENCE: Duration = Duration::from_mins(2);

/// Show, rotate and recover the keys of the store
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo tokenkeeper keys show
  sudo tokenkeeper keys rotate
  sudo tokenkeeper keys recover --identity-file /media/usb/recovery.txt

Exit status: 0 done, 69 the daemon cannot be reached, 77 refused, 78 the keys cannot be opened.")]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    Show(Show),
    Rotate(Rotate),
    Recover(Recover),
}

impl Keys {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.command {
            KeysCommand::Show(show) => show.run(context),
            KeysCommand::Rotate(rotate) => rotate.run(context),
            KeysCommand::Recover(recover) => recover.run(context),
        }
    }
}

/// Show where the identity came from, who can recover the keys, and how far a rotation is
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo tokenkeeper keys show

Exit status: 0 done, 69 the daemon cannot be reached, 77 refused, 78 the keys cannot be opened.")]
struct Show {}

impl Show {
    #[expect(clippy::unused_self, reason = "it has no arguments yet")]
    fn run(&self, context: &Context) -> Result<u8, Failure> {
        let keys = context.connect()?.keys()?;
        context.answer(describe(&keys), &json::Keys::from(&keys))?;
        Ok(0)
    }
}

/// Begin a new epoch, and seal everything with its key
///
/// The new key is used at once. Records of the old one are sealed anew in the background while the daemon serves, at the rate that
/// the configuration allows. When none is left, the old key is destroyed. `tokenkeeper keys show` tells how far it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo tokenkeeper keys rotate

Exit status: 0 begun, 69 the daemon cannot be reached, 75 one is under way, 77 refused, 78 the keyring cannot be written.")]
struct Rotate {}

impl Rotate {
    #[expect(clippy::unused_self, reason = "it has no arguments yet")]
    fn run(&self, context: &Context) -> Result<u8, Failure> {
        let epoch = context.connect_within(PATIENCE)?.keys_rotate()?;
        let text = format!("Epoch {epoch} has begun. `tokenkeeper keys show` tells how far it is.\n");
        context.answer(text, &json::KeysRotating::from(epoch))?;
        Ok(0)
    }
}

/// Open the keys of a daemon that has lost its identity
///
/// Asks for the age identity of a recovery recipient, or for a copy of the lost one, without showing it; or reads it from standard
/// input if that is no terminal. The daemon then serves at once, and has a new identity of its own. For root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo tokenkeeper keys recover
  sudo tokenkeeper keys recover --identity-file /media/usb/recovery.txt
  pass show tokenkeeper-recovery | sudo tokenkeeper keys recover

Exit status: 0 done, 65 nothing is to recover, 69 the daemon cannot be reached, 74 the file cannot be read, 77 refused,
78 it is no identity, or does not open the keys.")]
struct Recover {
    /// Read the identity from this file
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
}

impl Recover {
    fn run(&self, context: &Context) -> Result<u8, Failure> {
        let identity = self.read()?;
        let recovered = context.connect_within(PATIENCE)?.keys_recover(KeysRecover { identity })?;
        context.answer(tell_recovered(&recovered), &json::KeysRecovered::from(&recovered))?;
        Ok(0)
    }

    fn read(&self) -> Result<Secret, Failure> {
        if let Some(path) = &self.identity_file {
            let file = File::open(path).map_err(|source| unreadable(path, source))?;
            return read_all(file).map_err(|source| unreadable(path, source));
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            tell("Identity (AGE-SECRET-KEY-1..., it is not shown), then Enter:");
            return hidden_line::read(&stdin, MAX_BYTES).map(|line| Secret::from(line.as_str()));
        }
        read_all(stdin.lock()).map_err(Failure::Input)
    }
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    Failure::Unreadable { path: path.to_owned(), source }
}

/// The whole text, which is short. Never grows, so that no copy of it stays behind.
fn read_all(input: impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    input.take(MAX_BYTES as u64).read_to_end(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))?;
    Ok(Secret::from(text))
}

fn describe(keys: &KeysReply) -> Table {
    let mut table = Table::default();
    table.row(["identity".into(), plain(&keys.identity_source).into()]);
    let none = || "none: if the identity is lost, so is everything".to_owned();
    let recipients: Vec<_> = keys.recovery_recipients.iter().map(|recipient| plain(recipient)).collect();
    for (index, recipient) in recipients.iter().cloned().enumerate() {
        table.row([if index == 0 { "recovery" } else { "" }.into(), recipient.into()]);
    }
    if recipients.is_empty() {
        table.row(["recovery".into(), none().into()]);
    }
    table.row(["epoch".into(), keys.epoch.to_string().into()]);
    if let Some(rotation) = &keys.rotation {
        let old: Vec<_> = keys.old_epochs.iter().map(ToString::to_string).collect();
        table.row(["rotation".into(), progress(rotation, &old.join(", ")).into()]);
        if let Some(trouble) = &rotation.trouble {
            table.row(["".into(), format!("does not go on: {}", plain(trouble)).into()]);
        }
    }
    table
}

fn progress(rotation: &KeysRotation, old: &str) -> String {
    let place =
        rotation.table.as_deref().map_or_else(|| "beginning".to_owned(), |table| format!("in {}", plain(table)));
    let damaged = match rotation.damaged {
        0 => String::new(),
        some => format!(", {some} DAMAGED, which keep the old key"),
    };
    format!("from epoch {old}: {} sealed anew, {} looked at, {place}{damaged}", rotation.resealed, rotation.seen)
}

fn tell_recovered(recovered: &KeysRecovered) -> String {
    let identity = recovered.identity_file.as_deref();
    let identity =
        identity.map_or_else(String::new, |path| format!(" The new identity of this host is in {}.", plain(path)));
    format!("The keys are open, and the daemon serves.{identity}\nNext: {}.\n", plain(&recovered.advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_told_in_one_line_and_damage_is_not_overlooked() {
        let rotation =
            KeysRotation { resealed: 7, seen: 9, table: Some("history".to_owned()), damaged: 0, trouble: None };
        assert_eq!(progress(&rotation, "1"), "from epoch 1: 7 sealed anew, 9 looked at, in history");
        let damaged = KeysRotation { table: None, damaged: 2, ..rotation };
        assert!(progress(&damaged, "1, 2").ends_with("beginning, 2 DAMAGED, which keep the old key"));
    }
}
