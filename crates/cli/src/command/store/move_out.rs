//! `tokenkeeper store move-out`: a backup that leaves nothing to be refreshed here.
//!
//! The daemon fences its store before the last part of the file leaves. The file is on the disk, under its name, before the daemon
//! is told that it is safe: whatever ends this command before that leaves a store that says so, and can be taken again.

use std::path::{Path, PathBuf};

use clap::Args;
use tokenkeeper_client::reply::MovedOut;
use tokenkeeper_protocol::json;

use super::backup::{MODE, copy, counted};
use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::whole_file;

const EXAMPLES: &str = "\
Examples:
  sudo tokenkeeper store move-out --output /root/moved.age
  sudo tokenkeeper store move-out --cancel && sudo tokenkeeper store accept-rollback

Exit status: 0 done, 4 nothing to cancel, 69 daemon not reachable, 74 the file cannot be written, 75 try again later, 77 refused,
78 the configuration names nobody who could open the file.";

/// Move all sessions to another host: take a backup, and use the store here no more
///
/// The daemon finishes what is under way, writes everything into an age file as `store backup` does, and from then on serves and
/// refreshes nothing, over restarts too. `tokenkeeperd restore` puts the file into an empty store on the other host, where the
/// sessions go on as if nothing had happened. If this command fails before its end, look at `tokenkeeper status`: either all is as
/// it was, or the store is fenced and you repeat the command or cancel.
///
/// Never use what was moved in two places: both would spend the same refresh tokens, and many providers end a session then. So before
/// --cancel, make sure that the file was restored nowhere, and destroy it. The store then counts as one that was put back: live tokens
/// are served, and refresh tokens only tried when those expire, until `store accept-rollback` says that all is well.
///
/// You need rules for `backup`, and for `manage` on all sessions of every provider; root has them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MoveOut {
    /// Write the sessions to this file, which only you can read, all at once
    #[arg(long, value_name = "FILE", required_unless_present = "cancel")]
    output: Option<PathBuf>,
    /// Use the store here again: what was moved is used nowhere else, and never will be
    #[arg(long, conflicts_with = "output")]
    cancel: bool,
}

impl MoveOut {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let Some(path) = &self.output else {
            let moved = context.connect()?.cancel_move_out()?;
            context.answer(CANCELLED, &json::MovedOut::new(&moved, None))?;
            return Ok(0);
        };
        let moved = take(context, path)?;
        let file = path.display().to_string();
        context.answer(describe(&moved, &file), &json::MovedOut::new(&moved, Some(&file)))?;
        Ok(0)
    }
}

fn take(context: &Context, path: &Path) -> Result<MovedOut, Failure> {
    let mut client = context.connect()?;
    let mut end = None;
    let written = whole_file::replace(path, MODE, |out| {
        let done = copy(&mut client.store_move_out()?, out, |source| Failure::File { path: path.to_owned(), source })?;
        end = Some(done);
        Ok(done)
    });
    let done = match (written, end) {
        (Ok(done), _) => done,
        // All of it came, so the store is fenced.
        (Err(failure), Some(_)) => return Err(Failure::Fenced { why: failure.to_string() }),
        (Err(failure), None) => return Err(failure),
    };
    let told =
        |error| Failure::Fenced { why: format!("{} is whole, but that was not confirmed: {error}", path.display()) };
    client.confirm_move_out(done.generation).map_err(told)
}

const CANCELLED: &str = "\
The store is used here again, as one that was put back: live tokens are served, and refresh tokens only tried when those expire.
If you know that the file was restored nowhere, run: tokenkeeper store accept-rollback
";

fn describe(moved: &MovedOut, file: &str) -> String {
    format!(
        "{} in {}, and nothing is served or refreshed here any more.\n\
         Restore the file on the other host within a day: tokenkeeperd restore. Destroy it then.\n",
        counted(moved.sessions),
        plain(file)
    )
}
