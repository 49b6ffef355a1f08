//! What of requests reaches the audit trail: once, also when it cannot be written at once.

use std::sync::Arc;

use tokenkeeper_protocol::request::LoginComplete;
use tokenkeeper_protocol::{Code, LoginId, Reply, Request, Secret};

use super::tests::{ask, hand_outs, numbered, service, token, token_request};
use crate::audit::{Outbox, What};
use crate::keeper::tests::{Home, peer};

#[tokio::test]
async fn the_first_hand_out_is_audited_at_once_even_from_memory_and_the_next_is_counted() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    home.keeper.look(home.id).unwrap();
    for _ in 0..3 {
        token(&service, &alice, token_request(home.id)).await.unwrap();
        assert_eq!(hand_outs(&home), 1);
    }
    let counted = service.tally.drain();
    assert!(matches!(counted[..], [What::TokenHandedOut { count: 2, .. }]), "{counted:?}");
}

#[tokio::test]
async fn what_is_handed_out_and_denied_while_nothing_can_be_written_is_told_afterwards() {
    let home = Home::new().await;
    let (service, alice, stranger) = (service(&home), Arc::new(peer(1000)), Arc::new(peer(7)));
    let told = || {
        let events = home.vault.pending(1000).unwrap().into_iter().map(|(_, event)| event.what);
        events.fold((0, 0), |(handed_out, denied), what| match what {
            What::TokenHandedOut { count, .. } => (handed_out + count, denied),
            What::Denied { count, .. } => (handed_out, denied + count),
            _ => (handed_out, denied),
        })
    };
    home.store.take_only(0);
    for _ in 0..3 {
        token(&service, &alice, token_request(home.id)).await.unwrap();
        token(&service, &stranger, token_request(home.id)).await.unwrap_err();
        service.record_counts().await;
    }
    assert_eq!(told(), (0, 0));
    home.store.recover();
    service.record_counts().await;
    assert_eq!(told(), (3, 3));
    service.record_counts().await;
    assert_eq!(told(), (3, 3), "nothing twice");
}

#[tokio::test]
async fn the_counts_of_a_busy_minute_do_not_wait_for_the_disk_one_by_one() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    for number in 0..900 {
        let id = numbered(&home, number).id;
        assert!(service.tally.hand_out(&alice, id, 1) && !service.tally.hand_out(&alice, id, 1));
    }
    let before = home.vault.syncs();
    service.record_counts().await;
    assert_eq!((hand_outs(&home), home.vault.syncs() - before), (900, 9));
}

#[tokio::test]
async fn nobody_fills_the_audit_trail_by_guessing_logins() {
    let home = Home::new().await;
    let service = service(&home);
    for (guesser, code) in [(7, Code::Denied), (1000, Code::LoginFailed)] {
        let guesser = Arc::new(peer(guesser));
        let before = home.vault.outbox_waiting().unwrap();
        for number in 0..20 {
            let login_id = LoginId::from_random([number; 16]);
            let guess = LoginComplete { login_id, callback_query: Secret::from("code=c&state=s") };
            let Reply::Problem(problem) = ask(&service, &guesser, Request::LoginComplete(guess)).await else {
                panic!()
            };
            assert_eq!(problem.code, code);
        }
        assert_eq!(home.vault.outbox_waiting().unwrap() - before, 1);
    }
}
