//! Service accounts: their sessions follow the configuration, and their tokens come and go like those of a refresh.

use tokenkeeper_protocol::AccountName;

use super::*;
use crate::audit::{Outbox, What};
use crate::config::AccountSettings;
use crate::domain::{EndReason, State};
use crate::keeper::AccountsConfigured;

fn nightly() -> AccountName {
    "nightly".parse().unwrap()
}

fn configured(scopes: &[&str]) -> AccountsConfigured {
    let settings = AccountSettings {
        name: nightly(),
        provider: "corp".parse().unwrap(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        resource: Vec::new(),
    };
    AccountsConfigured::from([(nightly(), Arc::new(settings))])
}

fn granted(token: &str) -> Reply {
    Reply::json(200, &json!({"access_token": token, "expires_in": 300}))
}

/// A home whose own session sleeps, with the account `nightly`.
async fn home() -> Home {
    let home = home_without_token().await;
    assert_eq!(home.attend_to_all_due().await, 1);
    home
}

async fn home_without_token() -> Home {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.server.script("/token", granted("at-1"));
    home.keeper.keep_accounts(configured(&["reports"])).await;
    Home { id: home.keeper.account(&nightly()).unwrap(), ..home }
}

fn closed(home: &Home) -> usize {
    let events = home.vault.pending(100).unwrap();
    events.iter().filter(|(_, event)| matches!(event.what, What::AccountClosed { .. })).count()
}

#[tokio::test]
async fn an_account_has_a_token_at_once_and_another_ahead_of_its_expiry() {
    let home = home().await;
    assert_eq!(home.token().as_deref(), Some("at-1"));
    let session = home.session();
    assert_eq!((session.user.name.as_str(), session.user.subject.as_str()), ("@nightly", "shop"));
    assert_eq!((session.generation, session.ends_at), (1, UnixSeconds::NEVER));
    assert_eq!(home.server.requests("/token")[0].field("scope").as_deref(), Some("reports"));

    let due = session.due_at.unwrap();
    assert!(at(195) <= due && due <= at(225), "70% of 300 s, give or take 5%: {due:?}");
    home.server.script("/token", granted("at-2"));
    home.sleep_until(194);
    assert_eq!(home.attend_to_all_due().await, 0);
    home.sleep_until(225);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.token().as_deref(), Some("at-2"));
}

#[tokio::test]
async fn an_account_that_nobody_uses_waits_for_whoever_asks() {
    let home = home().await;
    home.sleep_until(90_000);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 1, "its tokens live under an hour, and nobody asked for a day");
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
}

#[tokio::test]
async fn an_account_never_grows_old() {
    let home = home().await;
    home.sleep_until(1_000_000_000);
    assert_eq!(home.keeper.prune(&tokio_util::sync::CancellationToken::new()).await, Ok(1), "the session of the user");
    assert_eq!(home.session().state, State::Active);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
}

#[tokio::test]
async fn a_restart_keeps_session_and_token() {
    let home = home().await;
    home.keeper.keep_accounts(configured(&["reports"])).await;
    assert_eq!(home.keeper.account(&nightly()), Some(home.id));
    assert_eq!(home.attend_to_all_due().await, 0);
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn nothing_is_lost_with_an_answer() {
    let home = home_without_token().await;
    home.server.script("/token", Reply::HangUpAfter);
    let error = home.attend(Wish::NewToken).await.unwrap_err();
    assert!(matches!(error, KeeperError::ProviderDown { wait, .. } if wait == Duration::from_secs(1)), "{error}");
    assert_eq!(home.vault.unsettled().unwrap(), [], "there is no intent, since nothing is spent");
    home.server.script("/token", granted("at-1"));
    home.sleep_until(1);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.token().as_deref(), Some("at-1"));
}

#[tokio::test]
async fn a_client_that_is_not_accepted_is_tried_slowly_and_at_once_after_a_reload() {
    let home = home_without_token().await;
    home.server.script("/token", error("invalid_client"));
    for _ in 0..2 {
        let error = home.attend(Wish::NewToken).await.unwrap_err();
        assert!(matches!(error, KeeperError::Misconfigured { .. }), "{error}");
    }
    assert_eq!(home.posts(), 1);
    assert_eq!(home.session().due_at, Some(at(300)));
    home.server.script("/token", granted("at-1"));
    home.keeper.keep_accounts(configured(&["reports"])).await;
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.token().as_deref(), Some("at-1"));
}

#[tokio::test]
async fn other_scopes_are_asked_for_at_once_and_the_old_token_is_served_no_more() {
    let home = home().await;
    home.server.script("/token", granted("at-2"));
    home.keeper.keep_accounts(configured(&["reports", "mail"])).await;
    assert_eq!(home.keeper.account(&nightly()), Some(home.id), "it is the same account");
    assert_eq!(home.token(), None);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.token().as_deref(), Some("at-2"));
    assert_eq!(home.server.requests("/token")[1].field("scope").as_deref(), Some("reports mail"));
    assert_eq!(home.revoked(), [""; 0], "a job that has the old token may finish with it");
}

#[tokio::test]
async fn a_token_that_comes_for_the_scopes_of_before_is_not_kept() {
    let home = home_without_token().await;
    let bell = home.hold(granted("at-of-before"));
    let flight = home.keeper.attend(home.id, Wish::NewToken);
    until(|| home.posts() == 1).await;
    home.keeper.keep_accounts(configured(&["mail"])).await;
    bell.notify_one();
    assert_eq!(flight.outcome().await, Ok(Attended::NothingDue));
    assert_eq!(home.token(), None);
    home.server.script("/token", granted("at-1"));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.token().as_deref(), Some("at-1"));
}

#[tokio::test]
async fn an_account_that_leaves_the_configuration_is_served_no_more_and_revoked() {
    let home = home().await;
    home.keeper.keep_accounts(AccountsConfigured::new()).await;
    assert_eq!((home.keeper.account(&nightly()), home.token()), (None, None));
    assert!(matches!(home.session().state, State::Ended { reason: EndReason::Unconfigured, .. }));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.revoked(), ["at-1"]);
    assert_eq!((home.session().tokens, closed(&home)), (None, 1));

    home.keeper.keep_accounts(configured(&["reports"])).await;
    assert_ne!(home.keeper.account(&nightly()), Some(home.id), "what is over stays over");
}

#[tokio::test]
async fn an_account_of_another_client_is_another_session() {
    let home = home().await;
    let provider = home.server.provider_with(|settings| settings.client_id = "other".to_owned());
    let providers = Providers::from([(provider.settings().name.clone(), Arc::new(provider))]);
    home.keeper.replace_providers(providers, RETENTION);
    // What asks before the accounts follow does not get the other client's token.
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })));
    home.keeper.keep_accounts(configured(&["reports"])).await;
    let fresh = home.keeper.account(&nightly()).unwrap();
    assert_ne!(fresh, home.id);
    assert!(home.session().state.is_ended());
    assert_eq!(home.vault.session(fresh).unwrap().unwrap().value.user.subject, "other");
}

#[tokio::test]
async fn what_the_store_does_not_take_is_left_to_the_sweep() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.server.script("/token", granted("at-1"));
    home.store.take_only(0);
    home.keeper.keep_accounts(configured(&["reports"])).await;
    assert_eq!(home.keeper.account(&nightly()), None);
    home.store.recover();
    assert_eq!(home.keeper.sweep().await, Ok(1));
    home.keeper.lanes_at_rest().await;
    let home = Home { id: home.keeper.account(&nightly()).unwrap(), ..home };
    assert_eq!(home.token().as_deref(), Some("at-1"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_not_asked_for_again() {
    let home = home_without_token().await;
    home.store.take_only(0);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!((home.posts(), home.token().as_deref()), (1, Some("at-1")));
    home.store.recover();
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!((home.posts(), home.token().as_deref()), (1, Some("at-1")));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_followed_is_followed_later_though_the_one_before_it_was_meanwhile() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.store.hold(crate::store::Table::Sessions);
    let ((), (), ()) = tokio::join!(
        home.keeper.keep_accounts(configured(&["reports"])),
        home.keeper.keep_accounts(AccountsConfigured::new()),
        async {
            until(|| home.store.held() == 1).await;
            home.store.take_only(0);
            home.store.let_all_go();
        }
    );
    home.store.recover();
    assert_eq!(home.keeper.sweep().await, Ok(0));
    let sessions = home.vault.accounts().unwrap();
    let session = home.vault.session(sessions[0]).unwrap().unwrap().value;
    assert_eq!((sessions.len(), session.state.is_ended()), (1, true), "nobody configures it any more");
}

#[tokio::test]
async fn an_account_without_a_token_goes_before_sessions_that_have_one() {
    let home = Home::with(|settings| settings.courtesy.concurrency = 1, |session| session.due_at = Some(at(100))).await;
    home.sleep_until(200);
    let bell = home.hold(granted("at-1"));
    home.keeper.keep_accounts(configured(&["reports"])).await;
    let provider = home.provider();
    let other = provider.gate().enter(&home.clock, crate::provider::Turn::of_person()).await.unwrap();
    home.keeper.line_up(home.clock.now()).await.unwrap();
    drop(other);
    until(|| home.posts() == 1).await;
    assert_eq!(home.server.requests("/token")[0].field("grant_type").as_deref(), Some("client_credentials"));
    bell.notify_one();
}
