//! Pages, the agenda, counts.

use tokenkeeper_protocol::{ProviderName, UserName};

use super::*;
use crate::domain::{EndReason, LoginReason};
use crate::store::Batch;
use crate::vault::index::{Agenda, agenda_key};
use crate::vault::{AgendaItem, Outlook, Scope, StateCounts};

/// Whether a session is part of a scope.
type Belongs<'a> = &'a dyn Fn(&Session) -> bool;

/// Goes through a scope page by page.
fn found(vault: &Vault, scope: Scope<'_>, limit: usize) -> Vec<SessionRef> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = vault.page(scope, after, limit).unwrap();
        assert!(page.sessions.len() <= limit);
        found.extend(page.sessions.iter().map(|session| session.value.id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn every_scope_is_paged_through_whole_in_order_and_without_strangers() {
    let vault = in_memory().await;
    let [corp, other] = ["corp", "other"].map(|name| name.parse::<ProviderName>().unwrap());
    let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<UserName>().unwrap());
    let (unit, user) = (Owner::Unit { unit: "shop.service".to_owned(), uid: 7 }, Owner::Uid(7));
    let mut all = Vec::new();
    for number in 0..24_u8 {
        let mut one = session(number);
        one.provider = if number % 2 == 0 { &corp } else { &other }.clone();
        one.user.name = if number % 3 == 0 { &alice } else { &bob }.clone();
        one.user.subject = one.user.name.to_string();
        one.opened_by = if number % 4 < 2 { &unit } else { &user }.clone();
        insert(&vault, &one).await;
        all.push(one);
    }
    let subject = Scope::Subject { provider: &corp, issuer: &all[0].user.issuer, subject: "bob" };
    let scopes: [(Scope<'_>, Belongs<'_>); 7] = [
        (Scope::All, &|_| true),
        (Scope::At(&other), &|session| session.provider == other),
        (Scope::Named(&corp, &alice), &|session| session.provider == corp && session.user.name == alice),
        (subject, &|session| session.provider == corp && session.user.subject == "bob"),
        (Scope::Owned(&unit, None), &|session| session.opened_by == unit),
        (Scope::Owned(&user, Some(&other)), &|session| session.opened_by == user && session.provider == other),
        (Scope::Owned(&Owner::Uid(70), None), &|_| false),
    ];
    for (scope, belongs) in scopes {
        let mut expected: Vec<_> = all.iter().filter(|session| belongs(session)).map(|session| session.id).collect();
        expected.sort_by_key(|id| *id.as_bytes());
        for limit in [1, 2, 5, 12, 24, 100] {
            assert_eq!(found(&vault, scope, limit), expected, "{scope:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn the_agenda_is_in_the_order_of_time_and_paged_through_whole() {
    let vault = in_memory().await;
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let mut expected = Vec::new();
    for number in 0..20_u8 {
        // Several share a second.
        let due = at(u64::from(number * 7 % 20 / 3));
        insert(&vault, &Session { due_at: Some(due), prune_at: due + Duration::from_secs(5), ..session(number) }).await;
        expected.push((due, session(number).id));
    }
    insert(&vault, &Session { due_at: None, ..session(30) }).await;
    expected.sort_by_key(|(at, id)| (*at, *id.as_bytes()));
    let until = |now, shift: u64| -> Vec<AgendaItem> {
        let shifted = expected.iter().map(|(at, id)| (*at + Duration::from_secs(shift), *id));
        shifted.filter(|(at, _)| *at <= now).collect()
    };
    let paged = |read: &dyn Fn(Option<AgendaItem>) -> Vec<AgendaItem>| {
        let mut all = Vec::new();
        loop {
            let page = read(all.last().copied());
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    };
    for (now, limit) in [(NOW, 2), (at(3), 3), (at(3), 100), (at(50), 1), (at(50), 20)] {
        assert_eq!(paged(&|after| vault.due(now, after, limit).unwrap()), until(now, 0));
        assert_eq!(paged(&|after| vault.to_prune(now, after, limit).unwrap()), until(now, 5));
    }
    assert_eq!(vault.next_due(NOW - Duration::from_secs(1)).unwrap(), Some(NOW));
    assert_eq!(vault.next_due(NOW).unwrap(), Some(at(1)), "strictly later, and pruning is no part of it");
    assert_eq!(vault.next_due(at(6)).unwrap(), None);
}

#[tokio::test]
async fn sessions_are_counted_by_state() {
    let vault = in_memory().await;
    for number in 0..5 {
        insert(&vault, &session(number)).await;
    }
    let ended = State::Ended { reason: EndReason::TooOld, since: NOW };
    update(&vault, session(0).id, |session| session.state = ended).await;
    remove(&vault, session(1).id).await;
    let expected = StateCounts { active: 3, need_login: 0, ended: 1 };
    assert_eq!(vault.count_states().unwrap(), expected);
    // From here on they are known, and go on being right.
    insert(&vault, &session(7)).await;
    remove(&vault, session(0).id).await;
    let expected = StateCounts { active: 4, ended: 0, ..expected };
    assert_eq!(vault.count_states().unwrap(), expected);
    vault.census.forget();
    assert_eq!(vault.count_states().unwrap(), expected);
}

#[tokio::test]
async fn the_outlook_is_of_active_sessions_alone() {
    let vault = in_memory().await;
    assert_eq!(vault.outlook(NOW).unwrap(), Outlook::default());
    let day = |days: u64| NOW + Duration::from_hours(24 * days);
    let needs_login = State::NeedsLogin { reason: LoginReason::SessionTooOld, since: NOW };
    let states = [
        (State::Active, 4, 3),
        (State::Active, 2, 2),
        (State::Active, 3, 3),
        (State::Active, 5, 4),
        (State::Active, 6, 0),
        (needs_login, 1, 1),
    ];
    for (number, (state, due, ends)) in (0..).zip(states) {
        insert(&vault, &Session { state, due_at: Some(day(due)), prune_at: day(ends), ..session(number) }).await;
    }
    let expected = Outlook { next_refresh_at: Some(day(2)), ending_soon: 3, more_ending_soon: false };
    assert_eq!(vault.outlook(NOW).unwrap(), expected);
}

#[tokio::test]
async fn an_outlook_that_stops_on_its_way_says_so() {
    let vault = in_memory().await;
    let tomorrow = NOW + Duration::from_hours(24);
    let ending = Session { due_at: Some(tomorrow), prune_at: tomorrow, ..session(0) };
    insert(&vault, &ending).await;
    let crowd = |agenda, count: u16| {
        let ids = (0..count).map(u16::to_be_bytes).map(|[high, low]| SessionRef::from_random([1, 0, 0, high, low]));
        let mut batch = Batch::default();
        for id in ids {
            batch.mark(Table::Due, agenda_key(agenda, tomorrow - Duration::from_secs(9), id));
        }
        vault.store.write_if(batch)
    };
    crowd(Agenda::Attend, 250).await.unwrap();
    crowd(Agenda::Prune, 9_999).await.unwrap();
    let expected = Outlook { next_refresh_at: Some(tomorrow), ending_soon: 1, more_ending_soon: true };
    assert_eq!(vault.outlook(NOW).unwrap(), expected);
    crowd(Agenda::Attend, 10_000).await.unwrap();
    crowd(Agenda::Prune, 10_000).await.unwrap();
    assert_eq!(vault.outlook(NOW).unwrap(), Outlook { next_refresh_at: None, ending_soon: 0, ..expected });
}

#[tokio::test]
async fn a_session_that_is_damaged_does_not_hide_the_others() {
    let vault = in_memory().await;
    for number in 1..=3 {
        insert(&vault, &session(number)).await;
    }
    let mut damage = Batch::default();
    damage.set(Table::Sessions, session(2).id.as_bytes(), "nothing that opens");
    vault.store.write_if(damage).await.unwrap();
    for scope in [Scope::All, Scope::At(&session(1).provider), Scope::Owned(&session(1).opened_by, None)] {
        assert_eq!(found(&vault, scope, 2), [session(1).id, session(3).id], "{scope:?}");
        assert_eq!(vault.page_of_all(&[scope], None, 9).unwrap().damaged, 1);
    }
}
