//! The identity of the host and the keyring that it opens. Both are made on the first start, and never again after it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::StartError;
use crate::config::{DaemonSettings, Environment};
use crate::seal::{HostIdentity, IdentityError, IdentitySource, Keyring, create_durably};

/// Name of the keyring in the state directory.
const KEYRING: &str = "keyring.age";
/// Name of the store in the state directory.
pub(super) const STORE: &str = "store";

/// The keyring, and where the identity that opened it came from.
pub(super) fn unlock(
    settings: &DaemonSettings,
    environment: &Environment,
) -> Result<(Keyring, IdentitySource), StartError> {
    let path = settings.state_dir.join(KEYRING);
    let unusable = |source| StartError::StateDirectory { path: settings.state_dir.clone(), source };
    let is_there = |path: &Path| path.try_exists().map_err(unusable);
    let is_first_start = !is_there(&path)? && !is_there(&settings.state_dir.join(STORE))?;
    let (identity, source) = identity(settings, environment, is_first_start)?;
    let keyring_error = |source| StartError::Keyring { path: path.clone(), source };
    if is_first_start {
        let keyring = Keyring::generate();
        let bytes = keyring.to_file(&identity, &settings.recovery_recipients).map_err(keyring_error)?;
        match create_durably(&path, &bytes, 0o600) {
            Ok(()) => {
                tracing::info!(keyring = %path.display(), identity = %source, "first start: made a new keyring");
                return Ok((keyring, source));
            }
            // Another daemon that starts at the same time made its own, and may have sealed with it already.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    let bytes = fs::read(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => StartError::KeyringMissing { dir: settings.state_dir.clone() },
        _ => StartError::KeyringUnreadable { path: path.clone(), source },
    })?;
    Ok((Keyring::from_file(&bytes, &identity).map_err(keyring_error)?, source))
}

fn identity(
    settings: &DaemonSettings,
    environment: &Environment,
    may_create: bool,
) -> Result<(HostIdentity, IdentitySource), StartError> {
    let credential = environment.identity_credential();
    let file: &PathBuf = &settings.identity_file;
    match HostIdentity::load(credential.as_deref(), file) {
        Err(IdentityError::Missing { .. }) if may_create => {
            let identity = HostIdentity::create_file(file)?;
            tracing::info!(identity = %file.display(), "first start: made a new identity");
            Ok((identity, IdentitySource::File(file.clone())))
        }
        loaded => Ok(loaded?),
    }
}
