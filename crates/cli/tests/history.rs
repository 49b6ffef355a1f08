//! What `tokenkeeper history` prints of a session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{AT, Daemon};
use serde_json::json;
use tokenkeeper_protocol::reply::{HistoryEntry, HistoryPage};
use tokenkeeper_protocol::{Reply, Request, UnixSeconds};

fn entry(minutes: i64, event: &str, peer: Option<&str>, detail: &str) -> HistoryEntry {
    let (at, peer) = (UnixSeconds(AT.0 + minutes * 60), peer.map(str::to_owned));
    HistoryEntry { at, event: event.to_owned(), peer, detail: detail.to_owned() }
}

/// Three entries on two pages.
fn daemon() -> Daemon {
    Daemon::answering(|request| {
        let Request::History(asked) = request else { panic!("{request:?}") };
        assert_eq!(asked.session.as_str(), "7k3vq2mx");
        let (peer, nasty) = (Some("shop.service (uid 33, pid 812)"), "why: HTTP 503\u{1b}[2J, needs_login: false");
        let (entries, next) = match asked.cursor {
            None => {
                (vec![entry(2, "refresh_failed", None, nasty), entry(1, "token_handed_out", peer, "generation: 1")], 1)
            }
            Some(1) => (vec![entry(0, "login_completed", peer, "user: alice")], 0),
            Some(other) => panic!("{other}"),
        };
        Reply::History(HistoryPage { entries, next: Some(next).filter(|next| *next > 0) })
    })
}

#[test]
fn a_history_reads_like_a_log_whose_end_is_the_newest() {
    let expected = "\
WHEN               EVENT             BY                              WHAT
14 Nov 2023 22:13  login_completed   shop.service (uid 33, pid 812)  user: alice
14 Nov 2023 22:14  token_handed_out  shop.service (uid 33, pid 812)  generation: 1
14 Nov 2023 22:15  refresh_failed    -                               why: HTTP 503\\u{1b}[2J, needs_login: false
";
    let done = daemon().run("history 7k3vq2mx");
    assert_eq!((done.status, done.stdout.as_str()), (0, expected));
    assert!(daemon().run("--color always history 7k3vq2mx").stdout.contains("\u{1b}[31mrefresh_failed"));
}

#[test]
fn a_limit_keeps_the_newest_and_json_has_them_newest_first() {
    let expected = json!({ "entries": [
        { "at": "2023-11-14T22:15:20Z", "event": "refresh_failed", "peer": null,
          "detail": "why: HTTP 503\u{1b}[2J, needs_login: false" },
        { "at": "2023-11-14T22:14:20Z", "event": "token_handed_out", "peer": "shop.service (uid 33, pid 812)",
          "detail": "generation: 1" },
    ] });
    assert_eq!(daemon().run("history 7k3vq2mx --limit 2 --json").json(), expected);
    assert_eq!(daemon().run("history 7k3vq2mx --limit 1").stdout.lines().count(), 2);
    assert_eq!(daemon().run("history 7k3vq2mx --limit 0").status, 64);
}

#[test]
fn a_daemon_that_repeats_itself_is_not_asked_for_ever() {
    let daemon = Daemon::answering(|_| {
        let entries = vec![entry(0, "refresh_done", None, "generation: 2")];
        Reply::History(HistoryPage { entries, next: Some(7) })
    });
    assert_eq!(daemon.run("history 7k3vq2mx").stdout.lines().count(), 3);
}

#[test]
fn a_session_without_a_history_says_so_and_json_still_is_an_object() {
    let daemon = Daemon::answering(|_| Reply::History(HistoryPage { entries: vec![], next: None }));
    let done = daemon.run("history 7k3vq2mx");
    assert_eq!((done.status, done.stdout.as_str()), (0, ""));
    assert!(done.stderr.contains("Nothing has happened"), "{}", done.stderr);
    assert_eq!(daemon.run("history 7k3vq2mx --json").json(), json!({ "entries": [] }));
}
