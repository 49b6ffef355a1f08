//! The store that is measured: very many sessions as real ones are, all of them valid for longer than a run takes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::{StreamExt as _, stream};
use tokenkeeper_protocol::frame::HEADER_LEN;
use tokenkeeper_protocol::reply::{Authentication, TokenReply, UserInfo};
use tokenkeeper_protocol::{Reply, Secret, SessionRef, UnixSeconds};
use tokenkeeperd::domain::{AccessToken, Owner, Session, State, Tokens};
use tokenkeeperd::seal::{HostIdentity, Keyring, Recipients, create_durably};
use tokenkeeperd::store::RocksStore;
use tokenkeeperd::vault::Vault;
use tokio_util::task::TaskTracker;

use crate::daemon::Home;
use crate::load::token_request;
use crate::stopwatch::now;

/// The provider of all sessions.
pub(crate) const PROVIDER: &str = "bench";

/// Its issuer, where nothing is asked of it.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

/// Sessions in the store.
const SESSIONS: u64 = 100_000;
/// Sessions that are written together.
const BATCH: usize = 500;
/// Batches that are under way together: some are sealed while others wait for the disk, which syncs them in one.
const BATCHES_AT_ONCE: usize = 8;
/// Lengths of tokens: those of signed JWTs with a dozen claims.
pub(crate) const ACCESS_TOKEN: usize = 1_000;
const ID_TOKEN: usize = 900;
/// An opaque one.
pub(crate) const REFRESH_TOKEN: usize = 64;

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Fills the store of `home` through the vault, as the daemon would, and tells what is in it. Nobody has it open afterwards.
pub(crate) fn prepare_store(home: &Home) -> anyhow::Result<Vec<SessionRef>> {
    runtime()?.block_on(async {
        let (vault, _) = new_vault(home).await?;
        fill(&vault, 0..SESSIONS, |_, session| session).await?;
        (0..SESSIONS).map(|number| Ok(reference(number))).collect()
    })
}

/// Writes sessions, each as `edit` makes it. On a runtime with a thread for each core, all of them seal.
pub(crate) async fn fill(
    vault: &Arc<Vault>,
    numbers: Range<u64>,
    edit: impl Fn(u64, Session) -> Session + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let made_at = now();
    let (end, tasks) = (numbers.end, TaskTracker::new());
    let batches = numbers.step_by(BATCH).map(|first| {
        let (vault, edit) = (Arc::clone(vault), edit.clone());
        tasks.spawn(async move {
            let mut change = vault.change(made_at);
            for number in first..end.min(first + BATCH as u64) {
                change.insert(&edit(number, session(number, made_at)?))?;
            }
            anyhow::Ok(change.commit().await?)
        })
    });
    let mut written = stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE);
    while let Some(batch) = written.next().await {
        batch??;
    }
    Ok(())
}

/// What the program itself works on, with a thread for each core.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// A new vault with an identity and a keyring where the daemon looks for them, and that keyring.
pub(crate) async fn new_vault(home: &Home) -> anyhow::Result<(Arc<Vault>, Keyring)> {
    let identity = HostIdentity::create_file(&home.identity_file())?;
    let keyring = Keyring::generate();
    create_durably(&home.state_dir().join("keyring.age"), &keyring.to_file(&Recipients::new(&identity, &[])?)?, 0o600)?;
    Ok((open_vault(home, keyring.clone()).await?, keyring))
}

/// The vault that is there.
pub(crate) async fn open_vault(home: &Home, keyring: Keyring) -> anyhow::Result<Arc<Vault>> {
    let store = RocksStore::open(&home.state_dir().join("store"))?;
    Ok(Arc::new(Vault::open(Arc::new(store), keyring).await?))
}

/// A request for a token and the length of its reply, both with their headers.
pub(crate) fn sample_exchange() -> anyhow::Result<(Vec<u8>, usize)> {
    let Session { id, tokens, .. } = session(0, now())?;
    let Some(Tokens { access, .. }) = tokens else { bail!("a sample session has no token") };
    let AccessToken { token, token_type, scope, expires_at, .. } = access;
    let reply = Reply::Token(TokenReply { session: id, access_token: token, token_type, expires_at, scope });
    let (_, payload) = reply.encode()?;
    Ok((token_request(id)?, HEADER_LEN + payload.len()))
}

fn session(number: u64, made_at: UnixSeconds) -> anyhow::Result<Session> {
    let access = AccessToken {
        token: token("a", number, ACCESS_TOKEN),
        token_type: "Bearer".to_owned(),
        scope: "openid profile email offline_access".to_owned(),
        obtained_at: made_at,
        expires_at: made_at + DAY,
    };
    let (refresh, id) = (Some(token("r", number, REFRESH_TOKEN)), Some(token("i", number, ID_TOKEN)));
    Ok(Session {
        id: reference(number),
        provider: PROVIDER.parse()?,
        user: UserInfo {
            name: format!("user{number}").parse()?,
            subject: format!("00u{number:017}"),
            issuer: NOBODY.to_owned(),
            email: Some(format!("user{number}@corp.example")),
        },
        device: Some("laptop".to_owned()),
        opened_by: Owner::Unit { unit: "shop.service".to_owned(), uid: 7 },
        opened_at: made_at,
        ends_at: made_at + 30 * DAY,
        last_used_at: made_at,
        authentication: Authentication::default(),
        state: State::Active,
        tokens: Some(Tokens { access, refresh, id, refresh_life: None }),
        generation: 1,
        refreshes: 0,
        trouble: None,
        due_at: Some(made_at + DAY * 7 / 10),
        prune_at: made_at + 30 * DAY,
        scopes: Vec::new(),
        told: 0,
        era: 0,
        resource: Vec::new(),
    })
}

/// Scattered over the key space as random references are, each its own: multiplying by an odd number is one to one.
pub(crate) fn reference(number: u64) -> SessionRef {
    let [_, _, _, scattered @ ..] = number.wrapping_mul(0x9e_3779_b97f).to_be_bytes();
    SessionRef::from_random(scattered)
}

/// A text of `length` that does not compress and is no other session's: base 64 of a simple generator's numbers.
pub(crate) fn token(kind: &str, number: u64, length: usize) -> Secret {
    let mut state = number << 8 | u64::from(kind.as_bytes()[0]);
    let mut text = String::with_capacity(length);
    text.push_str(kind);
    while text.len() < length {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let digits = data_encoding::BASE64URL_NOPAD.encode(&(mixed ^ mixed >> 31).to_le_bytes());
        text.push_str(&digits[..digits.len().min(length - text.len())]);
    }
    Secret::from(text)
}
