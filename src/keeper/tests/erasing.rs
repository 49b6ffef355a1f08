//! Erasing a user: everything that is theirs goes, in the right order, and nobody is told so before it is true.

use tokenkeeper_protocol::reply::{Erasure, ErasureStage};
use tokenkeeper_protocol::request::{Erased, LoginBegin};

use super::*;
use crate::audit::{Outbox, What};
use crate::keeper::{Eraser, How};
use crate::seal::{KeepKeyring, KeptError};
use crate::store::{Batch, Store, Table};
use crate::vault::{Binding, Cursor, Intent, Rotation, Scope};

/// Keeps a keyring nowhere.
struct Nowhere;

impl KeepKeyring for Nowhere {
    fn keep(&self, _keyring: &Keyring) -> Result<(), KeptError> {
        Ok(())
    }

    fn set_recovery(&self, _keyring: &Keyring, _recovery: &[String]) -> Result<(), KeptError> {
        Ok(())
    }

    fn recovery(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An eraser at work, as after a start with this identity.
pub(super) fn eraser(home: &Home, identity: &str) -> Arc<Eraser> {
    let rotation = Arc::new(Rotation::new(Arc::clone(&home.vault), Arc::new(Nowhere), home.clock.clone(), 1));
    let eraser = Eraser::new(Arc::clone(&home.keeper), Arc::clone(&rotation), Some(identity.to_owned()));
    let eraser = Arc::new(eraser);
    home.keeper.tasks.spawn(rotation.run(home.stop.clone()));
    home.keeper.tasks.spawn(Arc::clone(&eraser).run(home.stop.clone()));
    eraser
}

/// Stands at the other end of the outbox.
fn deliver(home: &Home) -> Vec<What> {
    let events = home.vault.pending(usize::MAX).unwrap();
    let numbers: Vec<_> = events.iter().map(|(number, _)| *number).collect();
    home.vault.delivered(&numbers).unwrap();
    events.into_iter().map(|(_, event)| event.what).collect()
}

pub(super) fn user(home: &Home) -> Erased {
    let Session { provider, user, .. } = home.session();
    Erased::User { provider, user: user.name }
}

pub(super) async fn begin(eraser: &Arc<Eraser>, whom: &Erased, how: How) -> Result<Erasure, KeeperError> {
    eraser.begin(permit(Action::Erase), "uid 0 (pid 1)", whom, how).await
}

/// Waits until `is_it`, delivering what waits for syslog if it is said to.
pub(super) async fn wait_for(
    home: &Home,
    eraser: &Eraser,
    id: &str,
    delivering: bool,
    is_it: impl Fn(&Erasure) -> bool,
) -> Erasure {
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap().try_into().unwrap();
    let waiting = async {
        loop {
            if delivering {
                deliver(home);
            }
            let now = eraser.progress(id).unwrap();
            if is_it(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the erasure does not get there")
}

pub(super) async fn done(home: &Home, eraser: &Eraser, id: &str) -> Erasure {
    wait_for(home, eraser, id, true, |now| now.stage == ErasureStage::Done).await
}

/// Adds a session, and binds the name of its user.
async fn insert(home: &Home, number: u8, edit: impl FnOnce(&mut Session)) -> Session {
    let mut session = Session { id: SessionRef::from_random([number; 5]), ..home.session() };
    edit(&mut session);
    let mut change = home.vault.change(NOW);
    change.insert(&session).unwrap();
    change.commit().await.unwrap();
    session
}

async fn bind(home: &Home, session: &Session) {
    let user = session.user.clone();
    let binding = Binding { name: user.name, issuer: user.issuer, subject: user.subject };
    let mut change = home.vault.change(NOW);
    change.bind(&session.provider, &binding).unwrap();
    change.commit().await.unwrap();
}

/// A session of somebody else.
async fn of_bob(home: &Home) -> Session {
    let bob = insert(home, 77, |session| {
        session.user.name = "bob".parse().unwrap();
        session.user.subject = "subject-of-bob".to_owned();
    });
    let bob = bob.await;
    bind(home, &bob).await;
    bob
}

/// All rows that stand in the store.
fn rows(home: &Home, table: Table) -> Vec<(Vec<u8>, crate::store::Row)> {
    home.store.scan(table, &[], None, usize::MAX).unwrap()
}

#[tokio::test]
async fn everything_of_a_user_goes_and_nothing_of_anybody_else() {
    let home = Home::new().await;
    let alice = home.session();
    let second = insert(&home, 55, |session| session.user.name = "alice-by-another-name".parse().unwrap()).await;
    bind(&home, &alice).await;
    bind(&home, &second).await;
    let bob = of_bob(&home).await;
    home.token();
    let mut change = home.vault.change(NOW);
    change.intend(second.id, &Intent { generation: 1, at: NOW }).unwrap();
    for (session, told) in [(&alice, 0), (&second, 0), (&bob, 0)] {
        change.hand_out(&peer(1000), session.id, told, 1).unwrap();
    }
    change.commit().await.unwrap();
    for hint in [&alice.user.name, &bob.user.name] {
        let begin = LoginBegin {
            provider: alice.provider.clone(),
            redirect_uri: "https://shop.example/cb".to_owned(),
            scopes: Vec::new(),
            login_hint: Some(hint.to_string()),
            device: None,
            acr_values: Vec::new(),
            replaces: None,
        };
        home.keeper.begin_login(permit(Action::Login), &peer(1000), &begin).await.unwrap();
    }

    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &user(&home), How::default()).await.unwrap();
    assert_eq!((begun.sessions, begun.stage), (0, ErasureStage::Revoking));
    let over = done(&home, &eraser, &begun.id).await;
    assert_eq!((over.sessions, over.revoked, over.not_revoked), (2, 2, 0));
    assert_eq!(home.revoked().len(), 4, "two tokens of each");

    assert_eq!(home.vault.page(Scope::All, None, 9).unwrap().sessions.len(), 1);
    assert_eq!(home.vault.session(bob.id).unwrap().unwrap().value, bob);
    assert!(home.vault.binding(&bob.provider, &bob.user.name).unwrap().is_some());
    for name in [&alice.user.name, &second.user.name] {
        assert_eq!(home.vault.binding(&alice.provider, name).unwrap(), None);
    }
    let counted = |table| rows(&home, table).len();
    assert_eq!([Table::Sessions, Table::Bindings, Table::Logins, Table::History].map(counted), [1, 1, 1, 1]);
    assert_eq!(
        [Table::Intents, Table::Names, Table::Subjects, Table::States, Table::Owners].map(counted),
        [0, 1, 1, 1, 3]
    );
    assert_eq!(home.keeper.cached(), 0, "nor is anything of it in memory");
    assert_eq!(home.vault.erasures().unwrap(), []);
    let stats = home.vault.count_states().unwrap();
    assert_eq!((stats.active, stats.ended), (1, 0));
    let mut cursor = Some(Cursor::default());
    while let Some(page) = cursor.map(|cursor| home.vault.verify(&cursor).unwrap()) {
        assert_eq!(page.findings, []);
        cursor = page.next;
    }
}

#[tokio::test]
async fn the_audit_trail_is_told_first_and_names_nobody_at_the_end() {
    let home = Home::new().await;
    let name = home.session().user.name.to_string();
    let completed = What::LoginCompleted {
        peer: "uid 1".to_owned(),
        provider: home.session().provider,
        session: home.id,
        user: name.clone(),
    };
    let mut change = home.vault.change(NOW);
    change.audit(completed).unwrap();
    change.commit().await.unwrap();
    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &user(&home), How::default()).await.unwrap();
    let waits = wait_for(&home, &eraser, &begun.id, false, |now| now.waiting.is_some()).await;
    assert_eq!((waits.stage, waits.sessions), (ErasureStage::Telling, 1));
    assert!(waits.waiting.unwrap().contains("syslog"));
    assert!(eraser.complaints()[0].contains("does not go on"), "{:?}", eraser.complaints());

    assert!(deliver(&home).iter().any(|what| matches!(what, What::LoginCompleted { user, .. } if *user == name)));
    let over = wait_for(&home, &eraser, &begun.id, false, |now| now.stage == ErasureStage::Done).await;
    assert_eq!(over.waiting, None);
    assert_eq!(eraser.complaints(), Vec::<String>::new());
    let told = deliver(&home);
    let [What::Erased { peer, sessions: 1, not_revoked: 0, forced: false, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(peer, "uid 0 (pid 1)");
    assert!(!format!("{told:?}").contains(&name));
}

#[tokio::test]
async fn without_the_providers_word_nothing_is_removed_unless_it_is_not_to_be_waited_for() {
    let home = Home::new().await;
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    let (eraser, whom) = (eraser(&home, "age1host"), user(&home));
    let begun = begin(&eraser, &whom, How::default()).await.unwrap();
    let waits = wait_for(&home, &eraser, &begun.id, true, |now| now.waiting.is_some()).await;
    assert_eq!((waits.stage, waits.sessions), (ErasureStage::Revoking, 0));
    let why = waits.waiting.unwrap();
    assert!(why.starts_with("nothing is removed yet") && why.contains("503"), "{why}");
    assert_eq!(home.token(), None, "nobody is served all the same");
    assert!(home.session().tokens.is_some());

    let joined = begin(&eraser, &whom, How { at_once: true, forced: false }).await.unwrap();
    assert_eq!(joined.id, begun.id, "the same erasure");
    let over = done(&home, &eraser, &begun.id).await;
    assert_eq!((over.sessions, over.revoked, over.not_revoked), (1, 0, 1));
    assert!(home.vault.session(home.id).unwrap().is_none());
    assert_eq!(rows(&home, Table::Due), []);
}

#[tokio::test]
async fn it_goes_on_by_itself_when_the_provider_answers_again_even_after_a_restart() {
    let home = Home::new().await;
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    let first = eraser(&home, "age1host");
    let begun = begin(&first, &user(&home), How::default()).await.unwrap();
    wait_for(&home, &first, &begun.id, true, |now| now.waiting.is_some()).await;
    drop(first);
    let home = home.restarted().await;

    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    home.sleep_until(600);
    eraser(&home, "age1host");
    until(|| {
        deliver(&home);
        home.vault.erasures().unwrap().is_empty()
    })
    .await;
    assert!(home.vault.session(home.id).unwrap().is_none());
    assert_eq!(home.revoked(), ["rt-old-0123456789"; 2], "the access token had expired by then");
}

#[tokio::test]
async fn a_forced_one_leaves_nothing_that_the_keys_open_and_waits_for_another_identity() {
    let home = Home::new().await;
    of_bob(&home).await;
    let old = rows(&home, Table::Sessions).into_iter().find(|(key, _)| key == home.id.as_bytes()).unwrap();
    let first = eraser(&home, "age1before");
    let how = How { forced: true, at_once: false };
    let begun = begin(&first, &user(&home), how).await.unwrap();
    let over = wait_for(&home, &first, &begun.id, true, |now| now.stage == ErasureStage::Rekeying).await;
    assert!(over.forced);
    assert_eq!(home.vault.epoch(), 2);
    // Whoever puts the old record back at its old place gets nothing out of it.
    let (key, row) = old;
    for version in 0..row.version {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, &key, version, row.value.clone());
        home.store.write_if(batch).await.unwrap();
    }
    assert_eq!(home.store.read(Table::Sessions, &key).unwrap().as_ref(), Some(&row));
    assert!(home.vault.session(home.id).is_err());
    let mut batch = Batch::default();
    batch.delete(Table::Sessions, &key, row.version);
    home.store.write_if(batch).await.unwrap();

    assert!(first.complaints()[0].contains("setup --rekey"), "{:?}", first.complaints());
    let same = eraser(&home, "age1before");
    until(|| !same.complaints().is_empty()).await;
    let other = eraser(&home, "age1after");
    until(|| home.vault.erasures().unwrap().is_empty()).await;
    until(|| other.complaints().is_empty()).await;
    home.stop.cancel();
}

#[tokio::test]
async fn whether_the_host_has_another_identity_is_not_said_unless_it_is_known() {
    let home = Home::new().await;
    let rotation = Arc::new(Rotation::new(Arc::clone(&home.vault), Arc::new(Nowhere), home.clock.clone(), 1));
    // A start that could not write the keyring.
    let unknown = Arc::new(Eraser::new(Arc::clone(&home.keeper), Arc::clone(&rotation), None));
    home.keeper.tasks.spawn(rotation.run(home.stop.clone()));
    home.keeper.tasks.spawn(Arc::clone(&unknown).run(home.stop.clone()));
    let begun = begin(&unknown, &user(&home), How { forced: true, at_once: false }).await.unwrap();
    let is_stuck =
        |now: &Erasure| now.stage == ErasureStage::Rotating && now.waiting.is_some() && home.vault.epoch() == 2;
    let waits = wait_for(&home, &unknown, &begun.id, true, is_stuck).await;
    assert!(waits.waiting.unwrap().contains("restart the daemon"));
    home.stop.cancel();
    assert_eq!(home.vault.erasures().unwrap().len(), 1, "the next start does not take its identity for another one");
}

#[tokio::test]
async fn of_one_session_the_user_and_the_others_stay() {
    let home = Home::new().await;
    let second = insert(&home, 55, |_| {}).await;
    bind(&home, &second).await;
    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &Erased::Session(home.id), How::default()).await.unwrap();
    assert_eq!(done(&home, &eraser, &begun.id).await.sessions, 1);
    assert!(home.vault.session(home.id).unwrap().is_none());
    assert_eq!(home.vault.session(second.id).unwrap().unwrap().value, second);
    assert!(home.vault.binding(&second.provider, &second.user.name).unwrap().is_some());
}

#[tokio::test]
async fn a_session_whose_record_is_damaged_goes_as_well() {
    let home = Home::new().await;
    let (alice, second) = (home.session(), insert(&home, 55, |_| {}).await);
    bind(&home, &alice).await;
    let row = home.store.read(Table::Sessions, second.id.as_bytes()).unwrap().unwrap();
    let mut damage = Batch::default();
    damage.rewrite(Table::Sessions, second.id.as_bytes(), row, "nothing that opens");
    home.store.write_if(damage).await.unwrap();
    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &user(&home), How::default()).await.unwrap();
    done(&home, &eraser, &begun.id).await;
    for table in [Table::Sessions, Table::Names, Table::Subjects, Table::Owners, Table::States, Table::Due] {
        assert_eq!(rows(&home, table), [], "{table}");
    }
    assert_eq!(home.vault.count_states().unwrap(), crate::vault::StateCounts::default());
}

#[tokio::test]
async fn whoever_is_not_there_is_not_erased_and_an_erasure_under_way_is_not_forgotten() {
    let home = Home::new().await;
    let (eraser, whom) = (eraser(&home, "age1host"), user(&home));
    let provider = home.session().provider;
    let nobody = Erased::User { provider: provider.clone(), user: "nobody".parse().unwrap() };
    let refused = begin(&eraser, &nobody, How::default()).await;
    assert_eq!(refused.unwrap_err(), KeeperError::NothingKept { provider: provider.clone() });
    let gone = Erased::Session(SessionRef::from_random([9; 5]));
    assert!(matches!(begin(&eraser, &gone, How::default()).await, Err(KeeperError::NoSuchSession { .. })));

    deliver(&home);
    let begun = begin(&eraser, &whom, How::default()).await.unwrap();
    wait_for(&home, &eraser, &begun.id, false, |now| now.waiting.is_some()).await;
    // It is not found any more, and yet in the files: that is not the time to say that nothing is kept.
    // Nor whose it is, so nobody is given the progress of somebody else's.
    for whom in [&whom, &nobody] {
        let refused = begin(&eraser, whom, How::default()).await.unwrap_err();
        assert_eq!(refused, KeeperError::StillErasing { provider: provider.clone() });
    }
    done(&home, &eraser, &begun.id).await;
    assert!(matches!(begin(&eraser, &whom, How::default()).await, Err(KeeperError::NothingKept { .. })));
}
