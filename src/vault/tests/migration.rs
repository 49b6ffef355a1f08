//! A store of an older schema, as the last code of that wrote it, becomes one of today; whenever that is cut short, it goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokenkeeper_protocol::LoginId;

use super::*;
use crate::audit::{Event, Outbox as _, What};
use crate::domain::{LoginReason, Loss, Refusal};
use crate::seal::HostIdentity;
use crate::store::{Batch, Overlay, SCHEMA, StoreError, Written};
use crate::vault::{Cursor, Migrating};

/// Names the state directory, and the step to die before or after, for the helper that dies.
const HELPER_DIR: &str = "TOKENKEEPER_TEST_STATE";
const HELPER_STEP: &str = "TOKENKEEPER_TEST_STEP";

/// The state directory of a daemon of schema 1: it goes all the way.
fn old_state() -> tempfile::TempDir {
    state_of(1)
}

fn state_of(schema: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let packed = format!("{}/tests/fixtures/schema-{schema}/state.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let done = Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(dir.path()).status().unwrap();
    assert!(done.success());
    dir
}

fn keyring(dir: &Path) -> Keyring {
    let text = fs::read_to_string(dir.join("identity")).unwrap();
    Keyring::from_file(&fs::read(dir.join("keyring.age")).unwrap(), &HostIdentity::parse(text.trim()).unwrap()).unwrap()
}

fn store(dir: &Path) -> RocksStore {
    RocksStore::open(&dir.join("store")).unwrap()
}

async fn opened(dir: &Path) -> Vault {
    Vault::open(Arc::new(store(dir)), keyring(dir)).await.unwrap()
}

fn id(number: u8) -> SessionRef {
    SessionRef::from_random([number; 5])
}

/// Holds a migrated store against what the generator put into the old one.
async fn check(vault: &Vault) {
    check_against(vault, 1, "(what it said was not kept)").await;
}

async fn check_against(vault: &Vault, found: u32, answer_lost: &str) {
    assert_eq!(vault.schema(), SCHEMA);
    let of = |number| vault.session(id(number)).unwrap().unwrap().value;
    let alice = of(1);
    let tokens = alice.tokens.clone().unwrap();
    assert_eq!((tokens.access.token.expose(), alice.era), ("access-of-alice", 0));
    assert_eq!(tokens.refresh.unwrap().expose(), "refresh-of-alice");
    assert_eq!(tokens.refresh_life, Some(Duration::ZERO), "nobody knows, and the next refresh is not put off");
    assert_eq!((alice.user.subject.as_str(), alice.told), ("subject-alice", 1));
    assert_eq!(of(3).trouble.unwrap().what, "the provider answered 503");
    let reasons: Vec<_> = (4..=8)
        .map(|number| match of(number).state {
            State::NeedsLogin { reason, .. } => reason,
            other => panic!("{other:?}"),
        })
        .collect();
    let refusal = |error: &str, description: Option<&str>| Refusal {
        error: error.to_owned(),
        description: description.map(str::to_owned),
        correlation: None,
        tries: 1,
    };
    assert_eq!(
        reasons,
        [
            LoginReason::Refused(refusal("invalid_grant", Some("the grant was revoked"))),
            LoginReason::SessionTooOld,
            LoginReason::NoRefreshToken,
            LoginReason::AnswerLost(refusal(answer_lost, None)),
            LoginReason::SignedOut,
        ]
    );
    assert!((9..=10).all(|number| of(number).state.is_ended()));

    let losses: Vec<_> = [3, 4, 5]
        .map(|number| vault.history(&of(number), None, 9).unwrap().events.into_iter().map(|event| event.what).next())
        .into_iter()
        .flatten()
        .map(|what| match what {
            What::RefreshFailed { lost, .. } | What::Expired { lost, .. } => lost,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(losses, [None, Some(Loss::Refused), None]);
    assert_eq!(vault.history(&alice, None, 9).unwrap().events.len(), 2, "the login, and a token handed out");
    let bound = vault.binding(&"corp".parse().unwrap(), &"alice".parse().unwrap()).unwrap().unwrap();
    assert_eq!(bound.subject, "subject-alice");
    assert_eq!(vault.unsettled().unwrap().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(2)]);
    assert!(vault.login(LoginId::from_random([7; 16])).unwrap().is_some());
    let waiting: Vec<Event> = vault.pending(99).unwrap().into_iter().map(|(_, event)| event).collect();
    assert_eq!(waiting.len(), 24, "all of them are still to be sent: {waiting:?}");

    let mut cursor = Some(Cursor::default());
    while let Some(at) = cursor {
        let page = vault.verify(&at).unwrap();
        assert_eq!(page.findings, []);
        cursor = page.next;
    }
    vault.tell_migration(NOW).await.unwrap();
    vault.tell_migration(NOW).await.unwrap();
    let migrated = |event: &Event| matches!(event.what, What::Migrated { from, to: SCHEMA } if from == found);
    assert_eq!(vault.pending(99).unwrap().iter().filter(|(_, event)| migrated(event)).count(), 1, "it is told once");
    assert!(vault.read::<Vec<u8>>(Table::Meta, b"migration").unwrap().is_none());
}

#[tokio::test]
async fn a_store_of_schema_1_is_changed_and_nothing_is_lost() {
    let dir = old_state();
    let told = std::sync::Mutex::new(Vec::new());
    let tell = |at: Migrating| told.lock().unwrap().push(at);
    let vault = Vault::open_telling(Arc::new(store(dir.path())), keyring(dir.path()), &tell).await.unwrap();
    let mut steps: Vec<_> = told.lock().unwrap().iter().map(|at| (at.from, at.to)).collect();
    assert!(steps.len() >= 8);
    steps.dedup();
    assert_eq!(steps, [(1, 2), (2, 3)]);
    check(&vault).await;
    drop(vault);
    check_again(dir.path()).await;
}

#[tokio::test]
async fn a_store_of_schema_2_is_changed_and_nothing_is_lost() {
    let dir = state_of(2);
    check_against(&opened(dir.path()).await, 2, "the connection was closed").await;
    check_again(dir.path()).await;
    assert_eq!(RocksStore::open(&dir.path().join("store-schema-2")).unwrap().schema(), 2);
}

/// After another start, which has nothing to change.
async fn check_again(dir: &Path) {
    let tell = |_| panic!("it is changed already");
    let vault = Vault::open_telling(Arc::new(store(dir)), keyring(dir), &tell).await.unwrap();
    assert!(vault.session(id(1)).unwrap().is_some());
}

#[tokio::test]
async fn what_was_is_kept_for_a_week_and_opens_as_what_it_was() {
    let dir = old_state();
    let vault = opened(dir.path()).await;
    let kept = dir.path().join("store-schema-1");
    let taken = fs::metadata(&kept).unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = UnixSeconds(taken.as_secs().try_into().unwrap());
    assert_eq!(RocksStore::open(&kept).unwrap().schema(), 1);
    vault.forget_copies(now + Duration::from_hours(24 * 7 - 1));
    assert!(kept.exists());
    vault.forget_copies(now + Duration::from_hours(24 * 7 + 1));
    assert!(!kept.exists());
}

#[tokio::test]
async fn the_copy_that_is_put_back_is_changed_again_and_a_new_copy_kept() {
    let dir = old_state();
    let (live, kept) = (dir.path().join("store"), dir.path().join("store-schema-1"));
    let vault = opened(dir.path()).await;
    remove(&vault, id(1)).await;
    drop(vault);
    fs::rename(&live, dir.path().join("aside")).unwrap();
    // Copied, so that a copy of another time stands in the way of the new one.
    assert!(Command::new("cp").arg("-a").arg(&kept).arg(&live).status().unwrap().success());
    check(&opened(dir.path()).await).await;
    assert_eq!(RocksStore::open(&kept).unwrap().schema(), 1);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_changed() {
    let dir = old_state();
    let full = Dying { inner: store(dir.path()), left: AtomicUsize::new(usize::MAX), fails_to_keep: true };
    let error = Vault::open(Arc::new(full), keyring(dir.path())).await.err().unwrap().to_string();
    assert!(error.contains("store-schema-1") && error.contains("make room"), "{error}");
    assert_eq!(store(dir.path()).schema(), 1);
    check(&opened(dir.path()).await).await;
}

/// A process for each step, killed right before or right after it; the next start goes on from there.
#[tokio::test]
async fn a_kill_at_any_step_loses_nothing() {
    let mut steps = 0;
    let sessions = |dir: &tempfile::TempDir| store(dir.path()).scan(Table::Sessions, &[], None, usize::MAX).unwrap();
    let before = sessions(&old_state());
    loop {
        let dir = old_state();
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vault::tests::migration::helper_that_dies", "--ignored"])
            .env(HELPER_DIR, dir.path())
            .env(HELPER_STEP, steps.to_string())
            .output()
            .unwrap();
        if died.status.success() {
            break;
        }
        let is_new = store(dir.path()).schema() == SCHEMA;
        assert!(is_new || sessions(&dir) == before, "step {steps}: an older version would take it for its own");
        check(&opened(dir.path()).await).await;
        check_again(dir.path()).await;
        steps += 1;
    }
    assert!(steps >= 10, "only {steps} steps");
}

#[tokio::test]
#[ignore = "runs as the process that dies of the test above"]
async fn helper_that_dies() {
    let Some(dir) = std::env::var_os(HELPER_DIR).map(PathBuf::from) else { return };
    let left = std::env::var(HELPER_STEP).unwrap().parse().unwrap();
    let store = Dying { inner: store(&dir), left: AtomicUsize::new(left), fails_to_keep: false };
    Vault::open(Arc::new(store), keyring(&dir)).await.unwrap();
}

/// A store that kills the process before or after its n-th step.
struct Dying {
    inner: RocksStore,
    left: AtomicUsize,
    fails_to_keep: bool,
}

impl Dying {
    fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        self.maybe_die();
        let done = step();
        self.maybe_die();
        done
    }

    fn maybe_die(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            kill(Pid::this(), Signal::SIGKILL).unwrap();
            std::thread::park();
        }
    }
}

impl Overlay for Dying {
    type Beneath = RocksStore;

    fn beneath(&self) -> &RocksStore {
        &self.inner
    }

    fn write_if(&self, batch: Batch) -> Written {
        let written = self.step(|| futures_executor::block_on(self.inner.write_if(batch)));
        Box::pin(std::future::ready(written))
    }

    fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        self.step(|| self.inner.set_schema(schema))
    }

    fn keep_copy(&self) -> Result<Option<PathBuf>, StoreError> {
        if self.fails_to_keep {
            let (path, why) = (PathBuf::from("store-schema-1"), "no space left on device".to_owned());
            return Err(StoreError::NotKept { path, why });
        }
        self.step(|| self.inner.keep_copy())
    }
}
