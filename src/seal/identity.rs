//! The host identity: the age X25519 key that opens the keyring, from a systemd credential or from a file.
//!
//! Invariant: no error and no `Debug` shows any of its text, nor any of a file that turned out to hold none.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use nix::fcntl::OFlag;
use tokenkeeper_protocol::Secret;
use zeroize::Zeroizing;

use super::{IdentityError, SealError, create_durably, replace_durably};

/// An identity with its comments takes less than 300 bytes.
const MAX_BYTES: u64 = 4096;

/// The owner reads, nobody writes.
const FILE_MODE: u32 = 0o400;

/// Permission bits that let others than the owner in.
const OTHERS: u32 = 0o077;

/// The key that opens the keyring.
pub struct HostIdentity(age::x25519::Identity);

/// Where the identity came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// systemd handed it over. What it is sealed with, if `tokenkeeperd setup` made it.
    Credential(Option<SealedWith>),
    /// It was read from this file.
    File(PathBuf),
    /// Somebody brought another one that opens the keyring, and none could be kept.
    Nowhere,
}

/// What systemd sealed the identity with. Stands as a comment in the identity itself: nobody else tells the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedWith {
    /// The TPM 2.0 chip of the host, and its key.
    Tpm2,
    /// The key of the host, a file of root's.
    HostKey,
}

/// Begins that comment.
const COMMENT: &str = "# sealed with: ";

impl SealedWith {
    /// As people are told, and as it stands in the comment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tpm2 => "TPM2",
            Self::HostKey => "host key",
        }
    }

    fn find(text: &str) -> Option<Self> {
        let name = text.lines().find_map(|line| line.strip_prefix(COMMENT))?;
        [Self::Tpm2, Self::HostKey].into_iter().find(|with| with.name() == name)
    }
}

impl HostIdentity {
    /// A new one.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The identity in `text`, as `age-keygen` writes it: one line, and comments that begin with `#`.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.parse().map(Self).map_err(|_| SealError::NotAnIdentity),
            _ => Err(SealError::NotAnIdentity),
        }
    }

    /// The identity as text, for the one place that stores it.
    pub fn expose(&self) -> Secret {
        Secret::from(self.0.to_string().expose_secret())
    }

    /// The identity in the text of a credential, and what that says it is sealed with.
    pub fn parse_sealed(text: &str) -> Result<(Self, Option<SealedWith>), SealError> {
        Ok((Self::parse(text)?, SealedWith::find(text)))
    }

    /// The text of a credential that will be sealed so.
    pub fn expose_sealed_with(&self, with: SealedWith) -> Secret {
        Secret::from([COMMENT, with.name(), "\n", self.expose().expose(), "\n"].concat())
    }

    /// Its recipient (`age1...`). Not secret.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// The identity of this host: from `credential` if there is such a file (systemd guards it), else from `file`, which
    /// only its owner may be able to read.
    pub fn load(credential: Option<&Path>, file: &Path) -> Result<(Self, IdentitySource), IdentityError> {
        if let Some(path) = credential {
            match read(path, 0) {
                Err(IdentityError::Missing { .. }) => {}
                other => return other.map(|(identity, with)| (identity, IdentitySource::Credential(with))),
            }
        }
        Ok((read(file, OTHERS)?.0, IdentitySource::File(file.to_owned())))
    }

    /// Generates an identity and keeps it in a new file of mode 0400. What is there already stays.
    pub fn create_file(path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::generate();
        identity.write_file(path)?;
        Ok(identity)
    }

    /// Keeps it in a new file of mode 0400. What is there already stays.
    pub fn write_file(&self, path: &Path) -> Result<(), IdentityError> {
        let text = self.expose();
        let line = Zeroizing::new([text.expose(), "\n"].concat());
        create_durably(path, line.as_bytes(), FILE_MODE).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.to_owned() },
            _ => IdentityError::Inaccessible { path: path.to_owned(), source },
        })
    }

    /// Keeps it in the place of another, in the file that the other was read from.
    pub fn replace_file(&self, path: &Path) -> Result<(), IdentityError> {
        let text = self.expose();
        let line = Zeroizing::new([text.expose(), "\n"].concat());
        replace_durably(path, line.as_bytes())
            .map_err(|source| IdentityError::Inaccessible { path: path.to_owned(), source })
    }

    pub(super) fn as_age(&self) -> &age::x25519::Identity {
        &self.0
    }
}

impl fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(None) => f.write_str("systemd credential"),
            Self::Credential(Some(with)) => write!(f, "systemd credential ({})", with.name()),
            Self::File(path) => path.display().fmt(f),
            Self::Nowhere => f.write_str("none, until the keys are recovered again"),
        }
    }
}

/// Reads an identity from a file that has none of the `forbidden` permission bits.
fn read(path: &Path, forbidden: u32) -> Result<(HostIdentity, Option<SealedWith>), IdentityError> {
    let inaccessible = |source| IdentityError::Inaccessible { path: path.to_owned(), source };
    let malformed = || IdentityError::Malformed { path: path.to_owned() };
    let file = open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing { path: path.to_owned() },
        _ => inaccessible(source),
    })?;
    let metadata = file.metadata().map_err(inaccessible)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(malformed());
    }
    if metadata.mode() & forbidden != 0 {
        return Err(IdentityError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    // Room for all that is read: a vector that grows would leave unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * usize::try_from(MAX_BYTES).unwrap_or(usize::MAX / 2)));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(inaccessible)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    HostIdentity::parse_sealed(text).map_err(|_| malformed())
}

/// Opens without waiting for anybody, should it be a pipe.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(dir: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn an_identity_survives_being_written_down() {
        let identity = HostIdentity::generate();
        let text = identity.expose();
        assert!(text.expose().starts_with("AGE-SECRET-KEY-1"));
        assert_eq!(HostIdentity::parse(text.expose()).unwrap().recipient(), identity.recipient());
        assert_eq!(format!("{identity:?}"), "[redacted]");
    }

    #[test]
    fn the_output_of_age_keygen_is_understood_and_two_identities_are_not() {
        let text = HostIdentity::generate().expose();
        let keygen = format!("# created: 2026-11-22T10:00:00Z\n# public key: age1...\n{}\n", text.expose());
        assert!(HostIdentity::parse(&keygen).is_ok());
        assert!(HostIdentity::parse(&format!("{keygen}{}", text.expose())).is_err());
    }

    #[test]
    fn a_created_file_has_mode_0400_is_loaded_again_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        let created = HostIdentity::create_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);

        let (loaded, source) = HostIdentity::load(None, &path).unwrap();
        assert_eq!(loaded.recipient(), created.recipient());
        assert_eq!(source.to_string(), path.display().to_string());

        assert!(matches!(HostIdentity::create_file(&path), Err(IdentityError::Exists { .. })));
        assert_eq!(HostIdentity::load(None, &path).unwrap().0.recipient(), created.recipient());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = HostIdentity::generate().expose();
        for mode in [0o440, 0o404, 0o644, 0o620] {
            let path = file(dir.path(), "identity", text.expose(), mode);
            let error = HostIdentity::load(None, &path).unwrap_err();
            assert!(matches!(error, IdentityError::Exposed { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains(&format!("chmod 0400 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn a_credential_goes_before_the_file_and_its_mode_is_systemds_business() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (HostIdentity::generate(), HostIdentity::generate());
        let credential = file(dir.path(), "credential", first.expose().expose(), 0o440);
        let path = file(dir.path(), "identity", second.expose().expose(), 0o400);

        let (identity, source) = HostIdentity::load(Some(&credential), &path).unwrap();
        assert_eq!((identity.recipient(), source), (first.recipient(), IdentitySource::Credential(None)));

        let (identity, source) = HostIdentity::load(Some(&dir.path().join("none")), &path).unwrap();
        assert_eq!((identity.recipient(), source), (second.recipient(), IdentitySource::File(path)));
    }

    #[test]
    fn a_credential_tells_what_it_was_sealed_with() {
        let dir = tempfile::tempdir().unwrap();
        let identity = HostIdentity::generate();
        for (with, told) in [(SealedWith::Tpm2, "TPM2"), (SealedWith::HostKey, "host key")] {
            let path = file(dir.path(), told, identity.expose_sealed_with(with).expose(), 0o400);
            let (loaded, source) = HostIdentity::load(Some(&path), Path::new("/nowhere")).unwrap();
            assert_eq!(loaded.recipient(), identity.recipient());
            assert_eq!(source.to_string(), format!("systemd credential ({told})"));
        }
    }

    #[test]
    fn a_broken_credential_is_an_error_and_not_a_reason_to_take_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let empty = file(dir.path(), "credential", "", 0o400);
        let path = file(dir.path(), "identity", HostIdentity::generate().expose().expose(), 0o400);
        let error = HostIdentity::load(Some(&empty), &path).unwrap_err();
        assert!(matches!(&error, IdentityError::Malformed { path } if *path == empty), "{error}");
    }

    #[test]
    fn a_missing_identity_says_where_it_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        let error = HostIdentity::load(None, &path).unwrap_err();
        assert!(matches!(error, IdentityError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn what_is_no_identity_is_never_repeated_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let almost = HostIdentity::generate().expose().expose().replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-2");
        for content in [almost.as_str(), "hunter2", &"x".repeat(10_000)] {
            let path = file(dir.path(), "identity", content, 0o400);
            let error = HostIdentity::load(None, &path).unwrap_err();
            assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
            assert!(!format!("{error:?}{error}").contains(content), "{error}");
            fs::remove_file(path).unwrap();
        }
        let directory = HostIdentity::load(None, dir.path()).unwrap_err();
        assert!(matches!(directory, IdentityError::Malformed { .. }), "{directory}");
    }
}
