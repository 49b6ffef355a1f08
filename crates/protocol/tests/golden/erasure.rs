//! Erasing, and how far it is.

use tokenkeeper_protocol::reply::{Erasure, ErasureStage};
use tokenkeeper_protocol::request::{Erase, EraseBegin, Erased};
use tokenkeeper_protocol::{Reply, Request};

use crate::notation::{AT, EVENING, pin_reply, pin_request, session};

#[test]
fn the_begin_of_an_erasure_is_these_bytes() {
    let begin = |whom, forced, at_once| Request::Erase(Erase::Begin(EraseBegin { whom, forced, at_once }));
    let corp = || "corp".parse().unwrap();
    pin_request(begin(Erased::Session(session()), false, true), 0x0019, r#"00000000 00000000 "7k3vq2mx" 00 01"#);
    let user = Erased::User { provider: corp(), user: "al".parse().unwrap() };
    let golden = r#"00000000 01000000 0400000000000000 "corp" 0200000000000000 "al" 01 00"#;
    pin_request(begin(user, true, false), 0x0019, golden);
    let subject = Erased::Subject { provider: corp(), issuer: Some("i".to_owned()), subject: "s".to_owned() };
    let golden = r#"00000000 02000000 0400000000000000 "corp" 01 0100000000000000 "i" 0100000000000000 "s" 00 00"#;
    pin_request(begin(subject, false, false), 0x0019, golden);
}

#[test]
fn the_question_how_far_it_is_is_these_bytes() {
    pin_request(Request::Erase(Erase::Progress("0a".to_owned())), 0x0019, r#"01000000 0200000000000000 "0a""#);
}

#[test]
fn how_far_it_is_is_these_bytes() {
    for (number, stage) in [
        ErasureStage::Revoking,
        ErasureStage::Telling,
        ErasureStage::Rewriting,
        ErasureStage::Rotating,
        ErasureStage::Rekeying,
        ErasureStage::Done,
    ]
    .into_iter()
    .enumerate()
    {
        let erasure = Erasure {
            id: "0a".to_owned(),
            provider: "corp".parse().unwrap(),
            stage,
            detail: Some("due".to_owned()),
            waiting: None,
            sessions: 3,
            revoked: 2,
            not_revoked: 1,
            forced: true,
            begun_at: AT,
            milliseconds: 9,
            copies: vec!["/c".to_owned()],
        };
        let golden = format!(
            r#"0200000000000000 "0a" 0400000000000000 "corp" 0{number}000000 01 0300000000000000 "due" 00
            0300000000000000 0200000000000000 0100000000000000 01 {EVENING} 0900000000000000
            0100000000000000 0200000000000000 "/c""#
        );
        pin_reply(Reply::Erasure(erasure), 0x8019, &golden);
    }
}
