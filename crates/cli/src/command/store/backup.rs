//! `tokenkeeper store backup`: all sessions as one age file, encrypted by the daemon.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tokenkeeper_client::blocking::BackupParts;
use tokenkeeper_client::reply::BackupSummary;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::whole_file;

/// For its owner alone.
pub(super) const MODE: u32 = 0o600;

const EXAMPLES: &str = "\
Examples:
  sudo tokenkeeper store backup --output /root/tokenkeeper.age
  sudo tokenkeeper store backup | ssh safe 'cat > tokenkeeper.age'

Exit status: 0 done, 69 daemon not reachable, 74 the file cannot be written, 75 try again later, 77 refused,
78 the configuration names nobody who could open a backup.";

/// Take a backup of all sessions, while they are served
///
/// It is an age file, encrypted to `backup_recipients` of the configuration: keep the key to it elsewhere. It holds all tokens.
/// `tokenkeeperd restore` puts it into an empty store.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// Write it to this file, which only you can read, all at once; standard output if not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Backup {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let mut client = context.connect()?;
        let Some(path) = &self.output else {
            let mut out = io::stdout().lock();
            if out.is_terminal() {
                return Err(Failure::Output(io::Error::other("a backup is no text for a terminal; use --output FILE")));
            }
            copy(&mut client.store_backup()?, &mut out, Failure::Output)?;
            return Ok(0);
        };
        let failed = |source| Failure::File { path: path.clone(), source };
        let done = whole_file::replace(path, MODE, |out| copy(&mut client.store_backup()?, out, failed))?;
        let file = path.display().to_string();
        let text = format!("{} in {}.\n", counted(done.sessions), plain(&file));
        context.answer(text, &Object { sessions: done.sessions, generation: done.generation, file })?;
        Ok(0)
    }
}

/// Such as `3 sessions are`.
pub(super) fn counted(sessions: u64) -> String {
    if sessions == 1 { "1 session is".to_owned() } else { format!("{sessions} sessions are") }
}

/// Writes all parts to `out`.
pub(super) fn copy(
    parts: &mut BackupParts<'_>,
    out: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<BackupSummary, Failure> {
    loop {
        let part = parts.next_part()?;
        out.write_all(&part.bytes).map_err(&failed)?;
        if let Some(end) = part.end {
            out.flush().map_err(&failed)?;
            return Ok(end);
        }
    }
}

#[derive(Serialize)]
struct Object {
    sessions: u64,
    generation: u64,
    file: String,
}
