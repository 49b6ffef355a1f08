//! The identity as a credential that systemd seals, keeps in its store, and hands to the unit of the daemon.
//!
//! Invariants: the plaintext goes through pipes and touches no disk; nothing counts as sealed that was not opened again; one that
//! does not open any more is put aside and never removed, since the unit would not even start with it.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokenkeeper_protocol::Secret;
use zeroize::Zeroizing;

use crate::seal::{HostIdentity, SealedWith, create_durably, remove_leftovers, replace_durably};

/// Its name, which is sealed with it.
const NAME: &str = "tokenkeeper.identity";
/// Where systemd looks for sealed credentials.
const STORE: &str = "/etc/credstore.encrypted";
/// From this version on, units find credentials there by themselves.
const SYSTEMD: u32 = 252;
/// Root alone.
const MODE: u32 = 0o600;

/// Why systemd does not keep the identity.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Sealing or opening did not succeed.
    #[error("systemd-creds cannot {verb} the identity: {said}")]
    Refused {
        /// What it was to do.
        verb: &'static str,
        /// What it said.
        said: String,
    },
    /// What was opened is no identity.
    #[error("the credential {path} does not hold an identity; restore it, or remove it")]
    Malformed {
        /// The credential.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("{path} cannot be written: {source}")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// systemd's store of credentials.
pub(super) struct CredentialStore {
    program: PathBuf,
    directory: PathBuf,
}

/// What is in the store.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// An identity.
    Identity(HostIdentity, Option<SealedWith>),
    /// One that does not open on this host, which was put aside there.
    Unusable(PathBuf),
}

/// An identity that was sealed, and opened again to be sure.
pub(super) struct Sealed {
    bytes: Vec<u8>,
    /// What it is sealed with.
    pub(super) with: SealedWith,
}

impl CredentialStore {
    /// That of this host, if its systemd is new enough.
    pub(super) fn of_host() -> Option<Self> {
        let store = Self { program: "systemd-creds".into(), directory: STORE.into() };
        let version = Command::new(&store.program).arg("--version").stdin(Stdio::null()).output().ok()?;
        let version = String::from_utf8_lossy(&version.stdout).split_whitespace().nth(1)?.parse::<u32>().ok()?;
        (version >= SYSTEMD).then_some(store)
    }

    #[cfg(test)]
    pub(super) fn in_test(program: PathBuf, directory: PathBuf) -> Self {
        Self { program, directory }
    }

    /// The credential.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    fn aside(&self) -> PathBuf {
        self.directory.join([NAME, ".unusable"].concat())
    }

    /// What is there. One that does not open is put aside, and one that was put aside and opens again is put back.
    pub(super) fn find(&self) -> Result<Found, CredentialError> {
        let (path, aside) = (self.path(), self.aside());
        if let Ok(sealed) = fs::read(&path) {
            return match self.open(&sealed) {
                Ok(text) => Ok(self.identity(&text)?),
                Err(_) => move_to(&path, &aside).map(|()| Found::Unusable(aside)),
            };
        }
        let Ok(sealed) = fs::read(&aside) else { return Ok(Found::Nothing) };
        let Ok(text) = self.open(&sealed) else { return Ok(Found::Unusable(aside)) };
        move_to(&aside, &path)?;
        self.identity(&text)
    }

    /// Seals an identity, with the best that this host has.
    pub(super) fn seal(&self, identity: &HostIdentity) -> Result<Sealed, CredentialError> {
        let best = self.seal_with(identity, SealedWith::Tpm2, "host+tpm2");
        best.or_else(|_| self.seal_with(identity, SealedWith::HostKey, "host"))
    }

    /// Keeps a sealed identity in the place of any other.
    pub(super) fn keep(&self, sealed: &Sealed) -> Result<(), CredentialError> {
        let (path, bytes) = (self.path(), &sealed.bytes);
        let inaccessible = |source| CredentialError::Inaccessible { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(inaccessible)?;
        remove_leftovers(&path).map_err(inaccessible)?;
        let written = match create_durably(&path, bytes, MODE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace_durably(&path, bytes),
            written => written,
        };
        written.map_err(inaccessible)
    }

    fn seal_with(&self, identity: &HostIdentity, with: SealedWith, key: &str) -> Result<Sealed, CredentialError> {
        let text = identity.expose_sealed_with(with);
        let key = ["--with-key=", key].concat();
        let bytes = self.run("seal", &["encrypt", &key], text.expose().as_bytes())?.to_vec();
        let opened = self.open(&bytes)?;
        if opened.expose() != text.expose() {
            return Err(CredentialError::Refused { verb: "seal", said: "it opens as something else".to_owned() });
        }
        Ok(Sealed { bytes, with })
    }

    fn open(&self, sealed: &[u8]) -> Result<Secret, CredentialError> {
        let opened = self.run("open", &["decrypt"], sealed)?;
        let malformed = || CredentialError::Malformed { path: self.path() };
        std::str::from_utf8(&opened).map(Secret::from).map_err(|_| malformed())
    }

    fn identity(&self, text: &Secret) -> Result<Found, CredentialError> {
        let parsed = HostIdentity::parse_sealed(text.expose());
        let (identity, with) = parsed.map_err(|_| CredentialError::Malformed { path: self.path() })?;
        Ok(Found::Identity(identity, with))
    }

    /// Gives it `input` and returns what comes out.
    fn run(&self, verb: &'static str, arguments: &[&str], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        let refused = |said: String| CredentialError::Refused { verb, said };
        let mut child = Command::new(&self.program)
            .args(arguments)
            .args([["--name=", NAME].concat().as_str(), "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| refused(error.to_string()))?;
        // It reads all before it writes anything, and what it reads fits into a pipe. One that does not read says why.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
        let output = child.wait_with_output().map_err(|error| refused(error.to_string()))?;
        let stdout = Zeroizing::new(output.stdout);
        if output.status.success() {
            return Ok(stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(refused(said.lines().last().unwrap_or("it failed").to_owned()))
    }
}

fn move_to(from: &Path, to: &Path) -> Result<(), CredentialError> {
    fs::rename(from, to).map_err(|source| CredentialError::Inaccessible { path: to.to_owned(), source })
}
