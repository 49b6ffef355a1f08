//! A refresh, and what others do meanwhile: each of them, and every two of them, at each moment between two steps of the flight.
//!
//! The steps are the real ones, held up at the store and at the provider: before the intent is written, before the POST is
//! answered, before the outcome is written, and after that. Whatever comes in between, no refresh token that has a successor on
//! disk is sent, nobody is served after a logout was written, and no token that the provider gave is forgotten. The same flight
//! with a model around it, in far more orders: `keeper/flight/explore`.

#![expect(clippy::disallowed_methods, reason = "these tests race tasks that nobody else waits for")]

use std::collections::BTreeMap;

use super::*;
use crate::domain::State;
use crate::provider::Provider;
use crate::store::Table;

/// What others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intruder {
    Logout,
    Prune,
    Reload,
    SecondCaller,
    Schedule,
    /// The store takes no more writes, until the end.
    FullDisk,
}

const INTRUDERS: [Intruder; 6] = [
    Intruder::Logout,
    Intruder::Prune,
    Intruder::Reload,
    Intruder::SecondCaller,
    Intruder::Schedule,
    Intruder::FullDisk,
];

/// Moments of a flight, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeIntent,
    BeforeAnswer,
    BeforeOutcome,
    AfterLanding,
}

const MOMENTS: [Moment; 4] = [Moment::BeforeIntent, Moment::BeforeAnswer, Moment::BeforeOutcome, Moment::AfterLanding];

fn tokens(number: u8) -> Reply {
    let answer = json!({
        "access_token": format!("at-{number}"), "refresh_token": format!("rt-{number}-0123456789"), "expires_in": 300,
    });
    Reply::json(200, &answer)
}

/// One run: what was done, when.
struct Run {
    home: Home,
    plan: Vec<(Moment, Intruder)>,
    ended: bool,
    over: bool,
}

impl Run {
    async fn go(plan: Vec<(Moment, Intruder)>) {
        let home = Home::with(|_| {}, |session| session.prune_at = at(150)).await;
        home.sleep_until(200);
        let mut run = Self { home, plan, ended: false, over: false };
        run.home.store.hold(Table::Intents);
        let bell = run.home.hold(tokens(1));
        let flight = run.home.keeper.attend(run.home.id, Wish::NewToken).outcome();
        let flight = tokio::spawn(flight);
        until(|| run.home.store.held() == 1).await;
        run.intrude(Moment::BeforeIntent).await;
        // An intent whose session was changed under it is not written, and nothing is sent.
        run.home.store.let_go();
        until(|| run.home.posts() == 1 || flight.is_finished() || run.home.store.held() == 1).await;
        if run.home.posts() == 0 && run.home.store.held() == 1 {
            // It looked again, and still wants to.
            run.home.store.let_go();
            until(|| run.home.posts() == 1 || flight.is_finished()).await;
        }
        assert!(!run.over || run.home.posts() == 0, "what was over before the intent is not refreshed: {:?}", run.plan);
        if run.home.posts() == 1 {
            run.home.server.script("/token", tokens(2));
            run.intrude(Moment::BeforeAnswer).await;
            bell.notify_one();
            until(|| run.home.store.held() == 1 || flight.is_finished()).await;
            run.intrude(Moment::BeforeOutcome).await;
        }
        run.home.server.script("/token", tokens(2));
        run.home.store.let_all_go();
        drop(flight.await.unwrap());
        run.intrude(Moment::AfterLanding).await;
        run.land().await;
    }

    async fn intrude(&mut self, moment: Moment) {
        let now: Vec<_> = self.plan.iter().filter(|(at, _)| *at == moment).map(|(_, intruder)| *intruder).collect();
        for intruder in now {
            self.do_as(intruder).await;
            self.assert_nobody_is_served_in_vain();
        }
    }

    async fn do_as(&mut self, intruder: Intruder) {
        let (keeper, id) = (Arc::clone(&self.home.keeper), self.home.id);
        match intruder {
            Intruder::Logout if self.is_full() => {
                let refused = keeper.logout(permit(Action::Logout), id, &peer(1000)).await;
                assert!(self.ended || matches!(refused, Err(KeeperError::StoreDown { .. })), "{:?}", self.plan);
            }
            Intruder::Prune if self.is_full() => drop(keeper.prune(&CancellationToken::new()).await),
            Intruder::FullDisk => self.home.store.take_only(0),
            Intruder::Logout => {
                tokio::spawn(async move { keeper.logout(permit(Action::Logout), id, &peer(1000)).await });
                until(|| self.home.session().state.is_ended()).await;
                (self.ended, self.over) = (true, true);
            }
            Intruder::Prune => {
                keeper.prune(&CancellationToken::new()).await.unwrap();
                self.over = true;
            }
            Intruder::Reload => {
                let old = keeper.providers();
                let anew = |it: &Arc<Provider>| Arc::new(Provider::new(Arc::clone(it.settings())).unwrap());
                keeper.replace_providers(old.iter().map(|(name, it)| (name.clone(), anew(it))).collect(), RETENTION);
            }
            Intruder::SecondCaller => drop(tokio::spawn(keeper.attend(id, Wish::NewToken).outcome())),
            Intruder::Schedule => drop(keeper.line_up(at(200)).await.unwrap()),
        }
    }

    fn is_full(&self) -> bool {
        self.home.vault.fault().is_some()
    }

    /// Once it is on disk that a session is over, nobody is given its token.
    fn assert_nobody_is_served_in_vain(&self) {
        if self.over {
            assert_eq!(self.home.token(), None, "{:?}", self.plan);
        }
    }

    /// Everything is let go: what is the end of it?
    async fn land(self) {
        let (home, plan) = (&self.home, &self.plan);
        home.keeper.lanes_at_rest().await;
        home.store.recover();
        // A flight that is still on its way lands first: what is due behind it takes one of its own, as the timer gives it.
        home.attend(Wish::Due).await.ok();
        if self.over && home.session().tokens.is_some() {
            home.attend(Wish::Due).await.ok();
            until(|| home.session().tokens.is_none()).await;
        }
        self.assert_nobody_is_served_in_vain();
        assert_eq!(home.vault.unsettled().unwrap(), [], "{plan:?}");

        let mut sent = BTreeMap::<String, usize>::new();
        for request in home.server.requests("/token") {
            *sent.entry(request.field("refresh_token").unwrap()).or_default() += 1;
        }
        for spent in ["rt-old-0123456789", "rt-1-0123456789"] {
            assert!(sent.get(spent).copied().unwrap_or(0) <= 1, "{spent} was sent twice: {plan:?} {sent:?}");
        }
        let newest = match home.posts() {
            0 => "rt-old-0123456789",
            1 => "rt-1-0123456789",
            _ => "rt-2-0123456789",
        };
        let session = home.session();
        assert_eq!(session.state.is_ended(), self.ended, "{plan:?}");
        if self.over {
            assert!(home.revoked().contains(&newest.to_owned()), "{newest} lives on: {plan:?} {:?}", home.revoked());
            assert!(self.ended || matches!(session.state, State::NeedsLogin { .. }), "{plan:?}");
        } else {
            assert!(session.state.is_active(), "{plan:?}: {session:?}");
            assert_eq!(session.tokens.unwrap().refresh, Some(Secret::from(newest)), "{plan:?}");
            assert!(home.token().is_some(), "{plan:?}");
        }
    }
}

#[tokio::test]
async fn whatever_happens_between_the_steps_of_a_refresh_nothing_is_lost_and_nothing_sent_twice() {
    Run::go(vec![]).await;
    for (index, moment) in MOMENTS.into_iter().enumerate() {
        for intruder in INTRUDERS {
            Run::go(vec![(moment, intruder)]).await;
            for later in &MOMENTS[index..] {
                for other in INTRUDERS {
                    Run::go(vec![(moment, intruder), (*later, other)]).await;
                }
            }
        }
    }
}
