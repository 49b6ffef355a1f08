//! `tokenkeeper store backup`: all sessions as one age file, encrypted by the daemon.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tokenkeeper_client::blocking::BackupParts;
use tokenkeeper_client::reply::BackupSummary;

use crate::context::Context;
use crate::failure::Failure;

const MODE: u32 = 0o600;

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
        let done = replace(path, |out| copy(&mut client.store_backup()?, out, failed))?;
        let text =
            format!("{} sessions are in {}.\n", done.sessions, crate::escape::plain(&path.display().to_string()));
        let file = path.display().to_string();
        context.answer(text, &Object { sessions: done.sessions, generation: done.generation, file })?;
        Ok(0)
    }
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

/// Has a file written beside `path` and moves it there once it is whole and on the disk.
pub(super) fn replace<T>(path: &Path, write: impl FnOnce(&mut fs::File) -> Result<T, Failure>) -> Result<T, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let no_name = || failed(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"));
    let mut beside = OsString::from(".");
    beside.push(path.file_name().ok_or_else(no_name)?);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    // A file that is there already, or a link that somebody has laid there, is not written to.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside).map_err(failed)?;
    let written = write(&mut file).and_then(|done| {
        let moved = file.sync_all().and_then(|()| fs::rename(&beside, path)).and_then(|()| sync_directory(path));
        moved.map(|()| done).map_err(failed)
    });
    if written.is_err() {
        // What is wrong is told; a file that cannot be removed either changes nothing about it.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}

#[derive(Serialize)]
struct Object {
    sessions: u64,
    generation: u64,
    file: String,
}
