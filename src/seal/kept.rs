//! `keyring.age` on the disk: read once, and from then on replaced as a whole.
//!
//! Invariant: whoever replaces it holds the lock of its directory and knows what it replaces: of two who change it at the same
//! time, the daemon and `tokenkeeperd setup --rekey`, the second is refused and loses nothing of the first. What a killed process
//! left of an older one beside it is gone when it is replaced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

use super::{
    HostIdentity, KeptError, Keyring, Recipients, SealError, create_durably, remove_leftovers, replace_durably,
};
use crate::failpoint::failpoint;

/// The owner reads and writes.
const MODE: u32 = 0o600;

/// Where a keyring is made durable.
pub trait KeepKeyring: Send + Sync {
    /// Makes it durable in the place of the one before. Blocks as long as the disk does.
    fn keep(&self, keyring: &Keyring) -> Result<(), KeptError>;

    /// Makes it durable for other recovery recipients (`age1...`), now and from now on. On an error all stays as it was.
    fn set_recovery(&self, keyring: &Keyring, recovery: &[String]) -> Result<(), KeptError>;

    /// The recovery recipients that it is encrypted to.
    fn recovery(&self) -> Vec<String>;
}

/// Whoever has it is the only one who reads or writes the keyring.
pub struct Alone {
    _lock: Flock<File>,
}

/// The file of a keyring.
pub struct KeptKeyring {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    recipients: Recipients,
    /// SHA-256 of the file as it was read or written last.
    last: [u8; 32],
}

impl KeptKeyring {
    /// Keeps a keyring in a new file, unless there is one: then that is none of ours.
    pub fn create(path: &Path, keyring: &Keyring, recipients: Recipients) -> Result<Option<Self>, KeptError> {
        let bytes = keyring.to_file(&recipients).map_err(|source| unusable(path, source))?;
        let _alone = Self::alone(path)?;
        match create_durably(path, &bytes, MODE) {
            Ok(()) => Ok(Some(Self::new(path, recipients, &bytes))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(inaccessible(path, error)),
        }
    }

    /// Waits until nobody else reads or writes the keyring, and keeps them out.
    pub fn alone(path: &Path) -> Result<Alone, KeptError> {
        Ok(Alone { _lock: lock_directory(path, FlockArg::LockExclusive)? })
    }

    /// The keyring in the file, opened with the identity of the host or of a recovery recipient. Kept again, it is for `recipients`.
    pub fn open(path: &Path, identity: &HostIdentity, recipients: Recipients) -> Result<(Keyring, Self), KeptError> {
        // Whoever replaces it overwrites what we would read.
        let _lock = lock_directory(path, FlockArg::LockShared)?;
        Self::read(path, identity, recipients)
    }

    /// The same, for whoever is alone with it.
    pub fn open_alone(
        _alone: &Alone,
        path: &Path,
        identity: &HostIdentity,
        recipients: Recipients,
    ) -> Result<(Keyring, Self), KeptError> {
        Self::read(path, identity, recipients)
    }

    fn read(path: &Path, identity: &HostIdentity, recipients: Recipients) -> Result<(Keyring, Self), KeptError> {
        let bytes = fs::read(path).map_err(|error| inaccessible(path, error))?;
        let keyring = Keyring::from_file(&bytes, identity).map_err(|source| unusable(path, source))?;
        Ok((keyring, Self::new(path, recipients, &bytes)))
    }

    fn new(path: &Path, recipients: Recipients, bytes: &[u8]) -> Self {
        let last = Sha256::digest(bytes).into();
        Self { path: path.to_owned(), state: Mutex::new(State { recipients, last }) }
    }

    /// Keeps the keyring for other recipients from now on. On an error it stays as it was.
    pub fn readdress(&self, keyring: &Keyring, recipients: Recipients) -> Result<(), KeptError> {
        self.readdress_alone(&Self::alone(&self.path)?, keyring, recipients)
    }

    /// The same, for whoever is alone with it.
    pub fn readdress_alone(&self, alone: &Alone, keyring: &Keyring, recipients: Recipients) -> Result<(), KeptError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = self.replace(alone, keyring, &recipients, state.last)?;
        state.recipients = recipients;
        Ok(())
    }

    fn recipients(&self) -> Recipients {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).recipients.clone()
    }

    /// Replaces the file if it is still the one known by `last`; the digest of the new one.
    fn replace(
        &self,
        _alone: &Alone,
        keyring: &Keyring,
        recipients: &Recipients,
        last: [u8; 32],
    ) -> Result<[u8; 32], KeptError> {
        let path = &self.path;
        let bytes = keyring.to_file(recipients).map_err(|source| unusable(path, source))?;
        let found = fs::read(path).map_err(|error| inaccessible(path, error))?;
        if <[u8; 32]>::from(Sha256::digest(&found)) != last {
            return Err(KeptError::Replaced { path: path.clone() });
        }
        failpoint!("keyring.before-replacement" => inaccessible(path, io::Error::from(io::ErrorKind::StorageFull)));
        let replaced = remove_leftovers(path).and_then(|()| replace_durably(path, &bytes));
        replaced.map_err(|error| inaccessible(path, error))?;
        Ok(Sha256::digest(&bytes).into())
    }
}

impl KeepKeyring for KeptKeyring {
    fn keep(&self, keyring: &Keyring) -> Result<(), KeptError> {
        let alone = Self::alone(&self.path)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = self.replace(&alone, keyring, &state.recipients, state.last)?;
        Ok(())
    }

    fn set_recovery(&self, keyring: &Keyring, recovery: &[String]) -> Result<(), KeptError> {
        let recipients = self.recipients().with_recovery(recovery).map_err(|source| unusable(&self.path, source))?;
        self.readdress(keyring, recipients)
    }

    fn recovery(&self) -> Vec<String> {
        self.recipients().recovery()
    }
}

fn lock_directory(path: &Path, how: FlockArg) -> Result<Flock<File>, KeptError> {
    let directory = File::open(path.parent().unwrap_or(Path::new("."))).map_err(|error| inaccessible(path, error))?;
    Flock::lock(directory, how).map_err(|(_, errno)| inaccessible(path, io::Error::from(errno)))
}

fn inaccessible(path: &Path, source: io::Error) -> KeptError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => KeptError::Missing { path },
        _ => KeptError::Inaccessible { path, source },
    }
}

fn unusable(path: &Path, source: SealError) -> KeptError {
    KeptError::Unusable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(identity: &HostIdentity) -> Recipients {
        Recipients::new(identity, &[]).unwrap()
    }

    #[test]
    fn a_keyring_that_was_kept_is_read_again_with_all_its_epochs() {
        let dir = tempfile::tempdir().unwrap();
        let (path, identity) = (dir.path().join("keyring.age"), HostIdentity::generate());
        let mut keyring = Keyring::generate();
        let kept = KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().unwrap();
        keyring.begin_epoch();
        kept.keep(&keyring).unwrap();
        keyring.begin_epoch();
        kept.keep(&keyring).unwrap();
        let (read, _) = KeptKeyring::open(&path, &identity, host(&identity)).unwrap();
        assert_eq!(read.epochs().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().is_none(), "what is there stays");
    }

    #[test]
    fn of_two_who_change_it_the_second_is_refused_and_the_change_of_the_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, identity) = (dir.path().join("keyring.age"), HostIdentity::generate());
        let keyring = Keyring::generate();
        let daemon = KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().unwrap();
        let (mut theirs, setup) = KeptKeyring::open(&path, &identity, host(&identity)).unwrap();
        theirs.begin_epoch();
        setup.keep(&theirs).unwrap();
        assert!(matches!(daemon.keep(&keyring), Err(KeptError::Replaced { .. })));
        let (read, _) = KeptKeyring::open(&path, &identity, host(&identity)).unwrap();
        assert_eq!(read.epoch(), 2);
    }

    #[test]
    fn whoever_is_no_recipient_any_more_does_not_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.age");
        let (first, second, recovery) = (HostIdentity::generate(), HostIdentity::generate(), HostIdentity::generate());
        let keyring = Keyring::generate();
        let kept = KeptKeyring::create(&path, &keyring, host(&first)).unwrap().unwrap();
        let opens = |identity: &HostIdentity| KeptKeyring::open(&path, identity, host(identity)).is_ok();
        kept.readdress(&keyring, host(&first).and(&second)).unwrap();
        assert!(opens(&first) && opens(&second) && !opens(&recovery));
        kept.readdress(&keyring, Recipients::new(&second, &[recovery.recipient()]).unwrap()).unwrap();
        assert!(!opens(&first) && opens(&second) && opens(&recovery));
        assert_eq!(kept.recovery(), [recovery.recipient()]);
    }

    #[test]
    fn keys_that_are_destroyed_are_not_left_in_a_file_of_somebody_who_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, identity) = (dir.path().join("keyring.age"), HostIdentity::generate());
        let mut keyring = Keyring::generate();
        let kept = KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().unwrap();
        let left = dir.path().join(".keyring.age.0123456789abcdef");
        fs::copy(&path, &left).unwrap();
        keyring.begin_epoch();
        keyring.forget_old_epochs();
        kept.keep(&keyring).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn while_one_is_alone_with_it_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, identity) = (dir.path().join("keyring.age"), HostIdentity::generate());
        let keyring = Keyring::generate();
        let kept = KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().unwrap();
        let alone = KeptKeyring::alone(&path).unwrap();
        assert!(lock_directory(&path, FlockArg::LockSharedNonblock).is_err());
        kept.readdress_alone(&alone, &keyring, host(&identity)).unwrap();
        drop(alone);
        KeptKeyring::open(&path, &identity, host(&identity)).unwrap();
    }

    #[test]
    fn a_keyring_that_cannot_be_written_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (path, identity) = (dir.path().join("keyring.age"), HostIdentity::generate());
        let mut keyring = Keyring::generate();
        let kept = KeptKeyring::create(&path, &keyring, host(&identity)).unwrap().unwrap();
        fs::rename(&path, dir.path().join("aside")).unwrap();
        keyring.begin_epoch();
        assert!(matches!(kept.keep(&keyring), Err(KeptError::Missing { .. })));
        fs::rename(dir.path().join("aside"), &path).unwrap();
        assert_eq!(KeptKeyring::open(&path, &identity, host(&identity)).unwrap().0.epoch(), 1);
        kept.keep(&keyring).unwrap();
    }
}
