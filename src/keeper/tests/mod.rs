//! The keeper with a real provider client against a scripted server, a clock that is set by hand, and a store that fails
//! when it is told to.

mod accounts;
mod agenda;
mod device;
mod erasing;
mod growing_old;
mod history;
mod interleaving;
mod jumping;
mod kindness;
mod leaving;
mod lives;
mod logging_in;
mod logging_out;
mod outage;
mod outcomes;
mod quarantine;
mod quirks;
mod refreshing;
mod rotating;
mod serving;
mod signing_out;
mod store;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokenkeeper_protocol::{Reply as Answer, Secret, SessionRef, UnixSeconds};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::store::Moody;
use super::{Attended, Keeper, KeeperError, Look, Parts, Providers, Wish};
use crate::clock::Clock;
use crate::config::ProviderSettings;
use crate::domain::{Peer, Session};
use crate::policy::{Action, On, Permit, Rule, Rules, Target, Who, judge};
use crate::provider::scripted::{NOW, Reply, Server, session};
use crate::seal::Keyring;
use crate::vault::Vault;

pub(crate) const RETENTION: Duration = Duration::from_hours(24 * 7);

/// A keeper with one session, whose token is due at 200 s and expires at 300 s.
pub(crate) struct Home {
    pub(crate) server: Server,
    pub(crate) store: Arc<Moody>,
    pub(crate) clock: Clock,
    pub(crate) vault: Arc<Vault>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) rules: Arc<ArcSwap<Rules>>,
    pub(crate) stop: CancellationToken,
    pub(crate) id: SessionRef,
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// The same with other settings, and another session.
    pub(crate) async fn with(settings: impl FnOnce(&mut ProviderSettings), edit: impl FnOnce(&mut Session)) -> Self {
        let server = Server::oidc().await;
        let store = Arc::new(Moody::default());
        let clock = Clock::manual(NOW);
        let vault = Arc::new(Vault::open(Arc::clone(&store) as _, Keyring::generate()).await.unwrap());
        let provider = Arc::new(server.provider_with(settings));
        let (rules, stop) = (Arc::new(ArcSwap::from_pointee(rules())), CancellationToken::new());
        let keeper = Arc::new(Keeper::new(Parts {
            vault: Arc::clone(&vault),
            providers: Providers::from([(provider.settings().name.clone(), provider)]),
            judge: Box::new({
                let rules = Arc::clone(&rules);
                move |peer, action, target| judge(&rules.load(), peer, action, target)
            }),
            clock: clock.clone(),
            tasks: TaskTracker::new(),
            work: tokio::runtime::Handle::current(),
            stop: stop.clone(),
            cache_sessions: 100,
            retention: RETENTION,
        }));
        let mut first = session(server.url());
        first.due_at = Some(at(200));
        edit(&mut first);
        let mut change = vault.change(NOW);
        change.insert(&first).unwrap();
        change.commit().await.unwrap();
        server.script("/token", renewal());
        server.script("/revoke", Reply::text(200, "text/plain", ""));
        Self { server, store, clock, vault, keeper, rules, stop, id: first.id }
    }

    /// Sets the clock to so many seconds after the beginning.
    pub(crate) fn sleep_until(&self, seconds: u64) {
        self.clock.advance(at(seconds).since(self.clock.now()));
    }

    async fn attend(&self, wish: Wish) -> Result<Attended, KeeperError> {
        self.keeper.attend(self.id, wish).outcome().await
    }

    async fn attend_to_all_due(&self) -> usize {
        self.keeper.attend_to_all_due(self.clock.now()).await.unwrap()
    }

    pub(crate) fn session(&self) -> Session {
        self.vault.session(self.id).unwrap().unwrap().value
    }

    /// Changes the session behind the keeper's back.
    pub(crate) async fn edit(&self, edit: impl FnOnce(&mut Session)) {
        let old = self.vault.session(self.id).unwrap().unwrap();
        let mut new = old.value.clone();
        edit(&mut new);
        let mut change = self.vault.change(self.clock.now());
        change.update(&old, &new).unwrap();
        change.commit().await.unwrap();
    }

    pub(crate) fn posts(&self) -> usize {
        self.server.count("/token")
    }

    /// The access token that peers are given, if any.
    fn token(&self) -> Option<String> {
        let Look::Live(live) = self.keeper.look(self.id).unwrap() else { return None };
        let (kind, payload) = &*live.reply;
        let Answer::Token(token) = Answer::decode(*kind, payload).unwrap() else { panic!("no token") };
        Some(token.access_token.expose().to_owned())
    }

    /// Holds the answers of the token endpoint until the returned bell rings.
    pub(crate) fn hold(&self, reply: Reply) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        self.server.script("/token", Reply::Held(Arc::clone(&bell), Box::new(reply)));
        bell
    }

    /// What was sent to the revocation endpoint.
    fn revoked(&self) -> Vec<String> {
        self.server.requests("/revoke").iter().map(|request| request.field("token").unwrap()).collect()
    }
}

/// So many seconds after the beginning.
pub(crate) fn at(seconds: u64) -> UnixSeconds {
    NOW + Duration::from_secs(seconds)
}

pub(crate) fn renewal() -> Reply {
    Reply::json(200, &json!({"access_token": "at-new", "refresh_token": "rt-new-0123456789", "expires_in": 300}))
}

fn error(error: &str) -> Reply {
    Reply::json(400, &json!({ "error": error }))
}

pub(crate) fn peer(uid: u32) -> Peer {
    Peer { uid, gids: Vec::new(), pid: 1, unit: None }
}

/// User 1000 may do everything.
fn rules() -> Rules {
    let may = Action::ALL.to_vec();
    vec![Rule { who: Who::User(1000), may, on: On::EVERYTHING, source: String::new() }].into()
}

fn permit(action: Action) -> Permit {
    judge(&rules(), &peer(1000), action, Target::Daemon).unwrap()
}

/// Waits for what other tasks do; fails if they do not.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("what was waited for did not happen");
}
