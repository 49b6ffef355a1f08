//! An erasure, as whoever waits for it sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{AT, Daemon};
use tokenkeeper_protocol::reply::{Erasure, ErasureStage};
use tokenkeeper_protocol::request::Erase;
use tokenkeeper_protocol::{Reply, Request};

fn erasure(stage: ErasureStage) -> Reply {
    Reply::Erasure(Erasure {
        id: "0a".to_owned(),
        provider: "corp".parse().unwrap(),
        stage,
        detail: None,
        waiting: None,
        sessions: 2,
        revoked: 2,
        not_revoked: 0,
        forced: false,
        begun_at: AT,
        milliseconds: 3_250,
        copies: Vec::new(),
    })
}

#[test]
fn an_erasure_is_waited_for_over_a_restart_of_the_daemon() {
    let asked = AtomicUsize::new(0);
    let daemon = Daemon::answering(move |request| match request {
        Request::Erase(Erase::Begin(_)) => erasure(ErasureStage::Rewriting),
        Request::Erase(Erase::Progress(id)) if id == "0a" => match asked.fetch_add(1, Ordering::SeqCst) {
            0 => resume_unwind(Box::new("the connection ends without an answer")),
            _ => erasure(ErasureStage::Done),
        },
        other => panic!("{other:?}"),
    });
    let done = daemon.run("erase corp --user alice --yes");
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.starts_with("Erased in 3.2 s: 2 sessions"), "{}", done.stdout);
}
