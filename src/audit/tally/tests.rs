//! The laws of counting: nothing is lost, nothing is counted twice, memory is bounded.

use std::collections::BTreeMap;

use super::*;

fn peer(uid: u32, unit: Option<&str>, pid: i32) -> Arc<Peer> {
    Arc::new(Peer { uid, gids: vec![uid], pid, unit: unit.map(str::to_owned) })
}

fn session(number: u64) -> SessionRef {
    let [_, _, _, random @ ..] = number.to_be_bytes();
    SessionRef::from_random(random)
}

fn handed_out(peer: &str, session: SessionRef, generation: u64, count: u64) -> What {
    What::TokenHandedOut { peer: peer.into(), session, generation, count }
}

fn count_of(what: &What) -> u64 {
    match what {
        What::TokenHandedOut { count, .. }
        | What::TokensHandedOutUnlisted { count, .. }
        | What::Denied { count, .. } => *count,
        other => panic!("a tally told of {other:?}"),
    }
}

#[test]
fn the_first_hand_out_is_told_at_once_and_the_others_are_counted() {
    let (tally, shop) = (Tally::default(), peer(33, Some("shop.service"), 812));
    assert!(tally.hand_out(&shop, session(1), 7));
    assert!(!tally.hand_out(&shop, session(1), 7));
    assert!(!tally.hand_out(&peer(33, Some("shop.service"), 813), session(1), 7), "another process of the service");
    assert_eq!(tally.drain(), [handed_out("shop.service (uid 33)", session(1), 7, 2)]);
}

#[test]
fn another_user_unit_session_or_generation_is_told_at_once_too() {
    let tally = Tally::default();
    assert!(tally.hand_out(&peer(33, Some("shop.service"), 1), session(1), 7));
    assert!(tally.hand_out(&peer(34, Some("shop.service"), 1), session(1), 7));
    assert!(tally.hand_out(&peer(33, Some("job.service"), 1), session(1), 7));
    assert!(tally.hand_out(&peer(33, None, 1), session(1), 7));
    assert!(tally.hand_out(&peer(33, Some("shop.service"), 1), session(2), 7));
    assert!(tally.hand_out(&peer(33, Some("shop.service"), 1), session(1), 8));
    assert_eq!(tally.drain(), [], "nothing was repeated");
}

#[test]
fn a_drain_forgets_what_was_not_repeated_and_goes_on_counting_the_rest() {
    let (tally, alice) = (Tally::default(), peer(1000, None, 1));
    tally.hand_out(&alice, session(1), 1);
    tally.hand_out(&alice, session(1), 1);
    tally.hand_out(&alice, session(2), 1);
    assert_eq!(tally.drain(), [handed_out("uid 1000", session(1), 1, 1)]);
    assert!(!tally.hand_out(&alice, session(1), 1), "went on");
    assert!(tally.hand_out(&alice, session(2), 1), "forgotten");
    assert_eq!(tally.drain(), [handed_out("uid 1000", session(1), 1, 1)]);
    assert_eq!(tally.drain(), []);
    assert!(tally.hand_out(&alice, session(1), 1), "forgotten after a quiet minute");
}

#[test]
fn too_many_sessions_are_counted_by_peer_and_no_hand_out_is_lost() {
    const SESSIONS: u64 = 200_000;
    let (tally, crawler, shop) = (Tally::default(), peer(4242, None, 1), peer(33, Some("shop.service"), 2));
    let told = (0..SESSIONS).filter(|number| tally.hand_out(&crawler, session(*number), 1)).count() as u64;
    assert!((100_000..SESSIONS).contains(&told), "{told} are listed");
    tally.hand_out(&shop, session(SESSIONS + 1), 1);
    let unlisted: BTreeMap<String, u64> = tally
        .drain()
        .into_iter()
        .map(|what| match what {
            What::TokensHandedOutUnlisted { peer, count } => (peer, count),
            other => panic!("not repeated, and yet told of: {other:?}"),
        })
        .collect();
    assert_eq!(unlisted.get("uid 4242"), Some(&(SESSIONS - told)));
    assert!(tally.hand_out(&crawler, session(1), 1), "there is room again");
}

#[test]
fn every_hand_out_is_told_or_counted_once_whatever_the_threads_do() {
    const THREADS: u64 = 8;
    const EACH: u64 = 20_000;
    let tally = Tally::default();
    let mut total = std::thread::scope(|scope| {
        let drainer = scope.spawn(|| (0..200).flat_map(|_| tally.drain()).map(|what| count_of(&what)).sum::<u64>());
        let askers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (tally, shop) = (&tally, peer(33, Some("shop.service"), i32::try_from(thread).unwrap()));
                let ask = move |turn: u64| u64::from(tally.hand_out(&shop, session(turn % 50), turn % 3));
                scope.spawn(move || (0..EACH).map(ask).sum::<u64>())
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).sum::<u64>() + drainer.join().unwrap()
    });
    total += tally.drain().iter().map(count_of).sum::<u64>();
    assert_eq!(total, THREADS * EACH);
}

#[test]
fn a_denial_keeps_its_reference_while_it_repeats() {
    let (tally, backup) = (Tally::default(), peer(34, Some("backup.service"), 9));
    let first = tally.denied(&backup, "token", "7k3vq2mx", || "r-1".into());
    let again = tally.denied(&backup, "token", "7k3vq2mx", || "r-2".into());
    let other = tally.denied(&backup, "logout", "7k3vq2mx", || "r-3".into());
    assert_eq!((first, again, other), (("r-1".into(), true), ("r-1".into(), false), ("r-3".into(), true)));
    let counted = What::Denied {
        peer: "backup.service (uid 34)".into(),
        action: "token".into(),
        target: "7k3vq2mx".into(),
        reference: "r-1".into(),
        count: 1,
    };
    assert_eq!(tally.drain(), [counted]);
    assert_eq!(tally.denied(&backup, "token", "7k3vq2mx", || "r-4".into()), ("r-1".into(), false), "it went on");
    assert_eq!(tally.denied(&backup, "logout", "7k3vq2mx", || "r-5".into()), ("r-5".into(), true), "it had stopped");
}

#[test]
fn a_peer_that_asks_for_everything_hides_nobody_elses_denials_and_none_of_its_own_number() {
    const TRIES: u64 = 10_000;
    let (tally, prober, backup) = (Tally::default(), peer(4242, None, 1), peer(34, Some("backup.service"), 9));
    let mut references = 0;
    let told = (0..TRIES)
        .filter(|number| {
            let reference = || {
                references += 1;
                format!("r-{references}")
            };
            tally.denied(&prober, "token", &session(*number).to_string(), reference).1
        })
        .count() as u64;
    assert_eq!(tally.denied(&backup, "token", "7k3vq2mx", || "r-b".into()), ("r-b".into(), true));
    let counted = tally.drain();
    let [What::Denied { peer, target, .. }] = &counted[..] else { panic!("{counted:?}") };
    assert_eq!((peer.as_str(), target.as_str()), ("uid 4242", "(other targets)"));
    assert_eq!(told + count_of(&counted[0]), TRIES);
}

#[test]
fn very_many_peers_share_one_count_and_no_denial_is_lost() {
    const PEERS: u32 = 5_000;
    let tally = Tally::default();
    let ask = |uid| tally.denied(&peer(uid, None, 1), "token", "7k3vq2mx", || format!("r-{uid}"));
    let told = (0..PEERS).map(ask).filter(|(_, first)| *first).count() as u64;
    let counted = tally.drain();
    let [What::Denied { peer, .. }] = &counted[..] else { panic!("{counted:?}") };
    assert_eq!(peer, "(other peers)");
    assert_eq!(told + count_of(&counted[0]), u64::from(PEERS));
}

#[test]
fn what_could_not_be_written_is_told_with_what_follows() {
    let (tally, shop) = (Tally::default(), peer(33, Some("shop.service"), 812));
    for _ in 0..3 {
        tally.hand_out(&shop, session(1), 7);
        tally.denied(&shop, "token", "7k3vq2mx", || "r-1".into());
    }
    let counted = tally.drain();
    assert_eq!(counted.iter().map(count_of).collect::<Vec<_>>(), [2, 2]);
    for what in &counted {
        tally.put_back(what);
    }
    tally.put_back(&What::TokensHandedOutUnlisted { peer: "uid 7".into(), count: 5 });
    assert!(!tally.hand_out(&shop, session(1), 7));
    assert_eq!(tally.drain().iter().map(count_of).collect::<Vec<_>>(), [3, 5, 2]);
}
