//! One file with a secret: written whole or not at all, and readable for its owner alone from its first byte on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::exit;

/// To whom the file goes.
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

/// Why a secret was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// Only root can give a file away.
    #[error(
        "only root can write to {}; run it with sudo, or with --user for your own tokenkeeperd --user", directory.display()
    )]
    NotRoot {
        /// Where it would go.
        directory: PathBuf,
    },
    /// The daemon's user is missing.
    #[error(
        "there is no user {0}: install tokenkeeperd first, name the user it runs as with --owner, or say --user for a daemon of your own"
    )]
    NoUser(String),
    /// Nothing says where the user's files are.
    #[error("HOME is not set, so that it is not known where your configuration is; use --dir")]
    NoHome,
    /// Nothing was typed or read.
    #[error("the secret is empty; nothing was written")]
    Empty,
    /// More than the daemon reads.
    #[error("that is longer than {0} bytes and no client secret; nothing was written")]
    TooLong(usize),
    /// More than one line, or bytes that are no text.
    #[error(
        "that holds control characters, more than one line or no text, and is no client secret; nothing was written"
    )]
    NoText,
    /// Whoever can write to the directory could put a secret of their own there.
    #[error("others can write to {}; run: chmod go-w {}", .0.display(), .0.display())]
    OpenDirectory(PathBuf),
    /// The daemon would not get at it.
    #[error("user {user} cannot enter {}; run: chgrp {user} {} && chmod 750 {}", directory.display(), directory.display(), directory.display())]
    ClosedDirectory {
        /// The directory.
        directory: PathBuf,
        /// The daemon's user.
        user: String,
    },
    /// The file system says no.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SecretError {
    /// The stable code and the exit status.
    pub(crate) fn class(&self) -> (&'static str, u8) {
        match self {
            Self::NotRoot { .. } => ("not_root", exit::REFUSED),
            Self::NoUser(_) | Self::NoHome | Self::OpenDirectory(_) | Self::ClosedDirectory { .. } => {
                ("misconfigured", exit::CONFIGURATION)
            }
            Self::Empty | Self::TooLong(_) | Self::NoText => ("bad_request", exit::DATA),
            Self::Write { .. } => ("io", exit::IO),
        }
    }
}

/// A file that can be written as soon as the secret is known.
pub(super) struct SecretFile {
    directory: PathBuf,
    name: String,
    owner: Option<Owner>,
}

impl SecretFile {
    /// Makes the directory if it is not there, and sees to it that the file will be of use in it.
    pub(super) fn prepare(directory: &Path, name: &str, owner: Option<Owner>) -> Result<Self, SecretError> {
        let failed = |source| SecretError::Write { path: directory.to_owned(), source };
        let about = match fs::metadata(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(directory, owner.as_ref()).map_err(failed)?;
                fs::metadata(directory).map_err(failed)?
            }
            about => about.map_err(failed)?,
        };
        let mode = about.permissions().mode();
        if mode & 0o022 != 0 || !(about.uid() == 0 || about.uid() == geteuid().as_raw()) {
            return Err(SecretError::OpenDirectory(directory.to_owned()));
        }
        if let Some(owner) = &owner {
            let may_enter = (about.uid() == owner.uid && mode & 0o100 != 0)
                || (about.gid() == owner.gid && mode & 0o010 != 0)
                || mode & 0o001 != 0;
            if !may_enter {
                return Err(SecretError::ClosedDirectory { directory: directory.to_owned(), user: owner.name.clone() });
            }
        }
        Ok(Self { directory: directory.to_owned(), name: name.to_owned(), owner })
    }

    /// Puts `secret` into a new file and that into the place of the old one.
    pub(super) fn write(&self, secret: &[u8]) -> Result<(), SecretError> {
        let path = self.directory.join(&self.name);
        let fresh = self.directory.join(format!(".{}.{:016x}", self.name, rand::random::<u64>()));
        let written = self.write_to(&fresh, secret).and_then(|()| fs::rename(&fresh, &path));
        if written.is_err() {
            // What cannot be removed was never made.
            let _ = fs::remove_file(&fresh);
        }
        let written = written.and_then(|()| File::open(&self.directory)?.sync_all());
        written.map_err(|source| SecretError::Write { path, source })
    }

    fn write_to(&self, path: &Path, secret: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Some(owner) = &self.owner {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
        }
        file.write_all(secret)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

/// Makes the directory: for the daemon to look into and for nobody else. What is above it is open to all, as /etc is.
fn make(directory: &Path, owner: Option<&Owner>) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        let mode = if owner.is_some() { 0o755 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(parent)?;
    }
    DirBuilder::new().mode(0o700).create(directory)?;
    if let Some(owner) = owner {
        chown(directory, None, Some(owner.gid))?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o750))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_its_owners_alone_and_replaces_the_old_one_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("tokenkeeper/secrets");
        for secret in ["a longer secret", "short"] {
            SecretFile::prepare(&directory, "corp", None).unwrap().write(secret.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(directory.join("corp")).unwrap(), format!("{secret}\n"));
        }
        assert_eq!((mode(&directory), mode(&directory.join("corp"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let elsewhere = home.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, home.path().join("corp")).unwrap();
        SecretFile::prepare(home.path(), "corp", None).unwrap().write(b"s").unwrap();
        assert!(!elsewhere.exists() && !home.path().join("corp").is_symlink());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let refused = SecretFile::prepare(home.path(), "corp", None).err().unwrap();
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
    }

    #[test]
    fn a_directory_that_the_daemon_cannot_enter_is_told_with_the_command_that_helps() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let nobody = Owner { uid: 65_533, gid: 65_533, name: "tokenkeeper".to_owned() };
        let refused = SecretFile::prepare(home.path(), "corp", Some(nobody)).err().unwrap();
        assert!(refused.to_string().contains("chmod 750"), "{refused}");
    }
}
