//! What is due is done, and what cannot be done is not tried without end.

use super::*;
use crate::config::settings::RefreshMode;

/// Adds so many sessions that are due one after the other.
async fn many(home: &Home, number: u16) {
    let mut change = home.vault.change(NOW);
    for number in 0..number {
        let [a, b] = number.to_be_bytes();
        let id = SessionRef::from_random([a, b, 0, 0, 0]);
        change.insert(&Session { id, due_at: Some(at(u64::from(number % 7))), ..home.session() }).unwrap();
    }
    change.commit().await.unwrap();
}

#[tokio::test]
async fn every_due_session_is_attended_to_over_many_pages() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    many(&home, 600).await;
    home.sleep_until(100);
    assert_eq!(home.attend_to_all_due().await, 600);
    assert_eq!(home.posts(), 600);
    assert_eq!(home.attend_to_all_due().await, 0);
}

#[tokio::test]
async fn a_session_whose_provider_was_removed_stands_in_nobodys_way_and_comes_back_with_it() {
    let home = Home::new().await;
    let providers = home.keeper.providers();
    home.keeper.replace_providers(Providers::new(), RETENTION);
    home.sleep_until(200);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::ProviderRemoved { .. })));
    assert_eq!(home.attend_to_all_due().await, 0, "it was put off");
    assert_eq!(home.session().due_at, Some(at(500)));
    assert!(home.session().state.is_active());
    let before = crate::store::Store::generation(&*home.store);
    home.sleep_until(250);
    assert!(home.attend(Wish::NewToken).await.is_err());
    assert_eq!(crate::store::Store::generation(&*home.store), before, "those who ask cost no write");
    home.keeper.replace_providers((*providers).clone(), RETENTION);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed), "whoever asks does not wait for that");
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_only_kept_alive_if_so_configured() {
    const DAY: u64 = 86_400;
    let when_used = |settings: &mut ProviderSettings| {
        settings.refresh = Some(RefreshMode::WhenUsed);
        settings.refresh_token_idle = Some(Duration::from_secs(7 * DAY));
    };
    let used_long_ago = |session: &mut Session| {
        session.tokens.as_mut().unwrap().access.expires_at = at(2 * DAY);
        session.due_at = Some(at(DAY + 10));
    };
    let home = Home::with(when_used, used_long_ago).await;
    home.sleep_until(DAY + 10);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::NothingDue));
    assert_eq!((home.posts(), home.session().due_at), (0, Some(at(7 * DAY / 10 * 7))));
    home.sleep_until(7 * DAY / 10 * 7);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));

    let home = Home::with(when_used, used_long_ago).await;
    home.sleep_until(DAY);
    let Look::Live(live) = home.keeper.look(home.id).unwrap() else { panic!("no token") };
    live.touch(home.clock.now());
    home.sleep_until(DAY + 10);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
    assert_eq!(home.session().last_used_at, at(DAY));
}

#[tokio::test]
async fn a_record_that_does_not_open_keeps_nobody_else_waiting() {
    use crate::store::{Batch, Store, Table};
    let home = Home::new().await;
    let other = SessionRef::from_random([8; 5]);
    let mut change = home.vault.change(NOW);
    change.insert(&Session { id: other, due_at: Some(at(100)), prune_at: at(100), ..home.session() }).unwrap();
    change.commit().await.unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Sessions, other.as_bytes(), 1, "no sealed record");
    home.store.write_if(batch).await.unwrap();

    home.sleep_until(200);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 1);
    home.edit(|session| session.prune_at = at(200)).await;
    let moved = home.keeper.prune(&tokio_util::sync::CancellationToken::new()).await;
    assert_eq!(moved, Ok(1));
}

#[tokio::test]
async fn what_finds_no_room_in_its_lane_comes_in_as_soon_as_there_is_some() {
    let mut home = Home::with(|_| {}, |session| session.due_at = None).await;
    Arc::get_mut(&mut home.keeper).unwrap().lanes.longest = 100;
    many(&home, 1_000).await;
    // What becomes of them brings nothing that anybody would have to be told.
    home.keeper.replace_providers(Providers::new(), RETENTION);
    home.sleep_until(100);
    let nothing_is_due = || home.vault.due(at(100), None, 1).unwrap().is_empty();
    tokio::select! {
        () = line_up_when_it_rings(&home) => {}
        () = until(nothing_is_due) => {}
    }
}

/// What the due timer does, at a time that stands still.
async fn line_up_when_it_rings(home: &Home) {
    loop {
        home.keeper.line_up(home.clock.now()).await.unwrap();
        home.keeper.agenda_changed().await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_keep_the_sweep_from_its_next_round() {
    let home = Home::new().await;
    home.sleep_until(200);
    let bell = home.hold(renewal());
    assert_eq!(home.keeper.sweep().await, Ok(1));
    until(|| home.posts() == 1).await;
    assert_eq!(home.keeper.sweep().await, Ok(0), "it is on its way");
    bell.notify_one();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.session().refreshes, 1);
}

#[tokio::test]
async fn the_sweep_removes_what_stands_in_the_agenda_and_does_not_belong_there() {
    use crate::store::{Batch, Store, Table};
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    many(&home, 1).await;
    let [(_, id)] = home.vault.due(NOW, None, 9).unwrap()[..] else { panic!("it is due") };
    let before = [&[0][..], &at(0).0.cast_unsigned().to_be_bytes(), id.as_bytes()].concat();
    let stray = [&[0][..], &at(3).0.cast_unsigned().to_be_bytes(), id.as_bytes()].concat();
    assert!(home.store.read(Table::Due, &before).unwrap().is_some());
    let mut batch = Batch::default();
    batch.mark(Table::Due, &stray);
    home.store.write_if(batch).await.unwrap();
    home.sleep_until(10);
    home.keeper.sweep().await.unwrap();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.vault.due(at(10), None, 9).unwrap(), []);
}
