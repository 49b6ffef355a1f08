//! The keeper with a real provider client against a scripted server, a clock that is set by hand, and a store that fails
//! when it is told to.

mod accounts;
mod agenda;
mod crowd;
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
use crate::provider::Provider;
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
        let providers = Providers::from([(provider.settings().name.clone(), provider)]);
        let keeper = keeper(&vault, providers, &rules, &clock, &stop);
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

    /// The same after a stop in good order and another start.
    async fn restarted(self) -> Self {
        self.stop.cancel();
        self.keeper.tasks.close();
        self.keeper.tasks.wait().await;
        let (stop, providers) = (CancellationToken::new(), (*self.keeper.providers()).clone());
        let keeper = keeper(&self.vault, providers, &self.rules, &self.clock, &stop);
        Self { keeper, stop, ..self }
    }

    /// Sets the clock to so many seconds after the beginning.
    pub(crate) fn sleep_until(&self, seconds: u64) {
        self.clock.advance(at(seconds).since(self.clock.now()));
    }

    async fn attend(&self, wish: Wish) -> Result<Attended, KeeperError> {
        self.keeper.attend(self.id, wish).outcome().await
    }

    /// Has everything attended to that is due; returns how many sessions that were.
    async fn attend_to_all_due(&self) -> usize {
        let lined_up = self.keeper.line_all_up(self.clock.now()).await.unwrap();
        self.keeper.lanes_at_rest().await;
        lined_up
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

    fn provider(&self) -> Arc<Provider> {
        self.keeper.providers().values().next().cloned().unwrap()
    }

    /// Begins what is due, and lets it come as far as it comes without the provider.
    async fn begin_what_is_due(&self) {
        self.keeper.line_up(self.clock.now()).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
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

fn keeper(
    vault: &Arc<Vault>,
    providers: Providers,
    rules: &Arc<ArcSwap<Rules>>,
    clock: &Clock,
    stop: &CancellationToken,
) -> Arc<Keeper> {
    let rules = Arc::clone(rules);
    Arc::new(Keeper::new(Parts {
        vault: Arc::clone(vault),
        providers,
        judge: Box::new(move |peer, action, target| judge(&rules.load(), peer, action, target)),
        clock: clock.clone(),
        tasks: TaskTracker::new(),
        work: tokio::runtime::Handle::current(),
        stop: stop.clone(),
        cache_sessions: 100,
        retention: RETENTION,
    }))
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
