//! `tokenkeeper metrics`: what the daemon counts and measures, for monitoring.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;

/// Collectors run as users of their own.
const MODE: u32 = 0o644;

/// Print what is counted and measured, for monitoring
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Write it to this file, all at once, for a collector of text files
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Metrics {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let text = context.connect()?.metrics()?;
        if let Some(path) = &self.output {
            replace(path, text.as_bytes()).map_err(|source| Failure::File { path: path.clone(), source })?;
        } else {
            let safe: String = text.lines().map(|line| plain(line) + "\n").collect();
            context.answer(safe, &Object { text: &text })?;
        }
        Ok(0)
    }
}

/// Writes a file beside `path` and moves it there: whoever reads sees the old text or the new one, and never a part.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"))?;
    // The collector leaves out what does not end in .prom.
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    // A file that is there already, or a link that somebody has laid there, is not written to.
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    let written = fill(file, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is wrong is told; a file that cannot be removed either changes nothing about it.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn fill(mut file: File, text: &[u8]) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text)?;
    file.sync_all()
}

#[derive(Serialize)]
struct Object<'a> {
    text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_for_everybody_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenkeeper.prom");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"new\n").is_err());
        assert!(replace(Path::new("/"), b"new\n").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
