//! Vaults in a directory, and sessions to put into them that can be told by their content.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{Secret, SessionRef, UnixSeconds};
use tokenkeeperd::domain::{AccessToken, Owner, Session, State, Tokens};
use tokenkeeperd::seal::{HostIdentity, Keyring, Recipients, create_durably};
use tokenkeeperd::store::RocksStore;
use tokenkeeperd::vault::{Vault, VaultError};

/// When everything happens that no daemon has a part in.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

const DAY: Duration = Duration::from_hours(24);

/// The keyring in `state`, made on the first call, as the daemon makes it.
pub(crate) fn keyring(state: &Path, identity: &Path) -> Keyring {
    let file = state.join("keyring.age");
    if !file.exists() {
        let recipients = Recipients::new(&HostIdentity::create_file(identity).unwrap(), &[]).unwrap();
        create_durably(&file, &Keyring::generate().to_file(&recipients).unwrap(), 0o600).unwrap();
    }
    let identity = HostIdentity::load(None, identity).map(|(identity, _)| identity).unwrap();
    Keyring::from_file(&fs::read(file).unwrap(), &identity).unwrap()
}

/// The vault in `state`, made on the first call.
pub(crate) fn open(state: &Path, identity: &Path) -> Result<Vault, VaultError> {
    let keyring = keyring(state, identity);
    let store = RocksStore::open(&state.join("store")).map_err(VaultError::Store)?;
    block_on(Vault::open(Arc::new(store), keyring))
}

/// The same, with the identity beside the rest.
pub(crate) fn vault(dir: &Path) -> Vault {
    open(dir, &dir.join("identity")).unwrap()
}

/// A session that no other is like, and that is like itself at no other step.
pub(crate) fn session(number: u64, step: u64) -> Session {
    let text = |kind: &str, length: usize| Secret::from(text(kind, number, step, length));
    let access = AccessToken {
        token: text("access", 1_000),
        token_type: "Bearer".to_owned(),
        scope: "openid profile".to_owned(),
        obtained_at: NOW,
        expires_at: NOW + DAY,
    };
    Session {
        id: reference(number),
        provider: "corp".parse().unwrap(),
        user: UserInfo {
            name: format!("user{number}").parse().unwrap(),
            subject: format!("subject{number}"),
            issuer: "http://127.0.0.1:9".to_owned(),
            email: Some(format!("user{number}@corp.example")),
        },
        device: None,
        opened_by: Owner::Uid(0),
        opened_at: NOW,
        ends_at: NOW + 30 * DAY,
        last_used_at: NOW,
        authentication: Authentication::default(),
        state: State::Active,
        tokens: Some(Tokens {
            access,
            refresh: Some(text("refresh", 64)),
            id: Some(text("id", 900)),
            refresh_life: None,
        }),
        generation: step,
        refreshes: step,
        trouble: None,
        due_at: Some(NOW + Duration::from_secs(step)),
        prune_at: NOW + 30 * DAY,
        scopes: Vec::new(),
        told: 0,
        era: 0,
        resource: Vec::new(),
    }
}

/// What people call session `number`.
pub(crate) fn reference(number: u64) -> SessionRef {
    let [_, _, _, scattered @ ..] = number.wrapping_mul(0x9e_3779_b97f).to_be_bytes();
    SessionRef::from_random(scattered)
}

/// A text of its own.
pub(crate) fn text(kind: &str, number: u64, step: u64, length: usize) -> String {
    let piece = format!("{kind}-{number}-{step}.");
    piece.chars().cycle().take(length).collect()
}
