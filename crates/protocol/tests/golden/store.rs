//! Replies about the store as a whole.

use tokenkeeper_protocol::Reply;
use tokenkeeper_protocol::reply::{
    BackupPart, BackupSummary, Finding, MovedOut, SessionCounts, StoreStats, TableStats, VerifyPage,
};

use crate::notation::{AT, EVENING, pin_reply, session};

#[test]
fn the_numbers_of_the_store_are_these_bytes() {
    let stats = StoreStats {
        sessions: SessionCounts { active: 1, need_login: 2, ended: 3 },
        bytes: 4,
        ballast_bytes: 5,
        kept_bytes: 13,
        disk_free_bytes: 6,
        disk_bytes: 7,
        generation: 8,
        schema: 9,
        epoch: 10,
        tables: vec![TableStats { name: "due".to_owned(), keys: 11, bytes: 12 }],
        last_backup_at: Some(AT),
        last_verified_at: None,
    };
    let golden = format!(
        r#"0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000 0d00000000000000 0600000000000000
        0700000000000000 0800000000000000 09000000 0a000000
        0100000000000000 0300000000000000 "due" 0b00000000000000 0c00000000000000 01 {EVENING} 00"#
    );
    pin_reply(Reply::StoreStats(stats), 0x8014, &golden);
}

#[test]
fn a_page_of_the_check_is_these_bytes() {
    let finding =
        Finding { table: "due".to_owned(), key: "00".to_owned(), session: Some(session()), what: "x".to_owned() };
    let page = VerifyPage {
        table: "due".to_owned(),
        checked: 1,
        total: 2,
        findings: vec![finding],
        next: Some("due:00".to_owned()),
    };
    let golden = r#"0300000000000000 "due" 0100000000000000 0200000000000000
        0100000000000000 0300000000000000 "due" 0200000000000000 "00" 01 "7k3vq2mx" 0100000000000000 "x"
        01 0600000000000000 "due:00""#;
    pin_reply(Reply::VerifyPage(page), 0x8015, golden);
}

#[test]
fn parts_of_a_backup_are_these_bytes() {
    let part = BackupPart { bytes: vec![1, 2], end: None };
    pin_reply(Reply::BackupPart(part), 0x8016, "0200000000000000 0102 00");
    let last = BackupPart { bytes: vec![], end: Some(BackupSummary { sessions: 3, generation: 4 }) };
    pin_reply(Reply::BackupPart(last), 0x8016, "0000000000000000 01 0300000000000000 0400000000000000");
}

#[test]
fn how_a_move_stands_is_these_bytes() {
    let moved = MovedOut { at: AT, sessions: 3, generation: 4, cancelled: true };
    let golden = format!("{EVENING} 0300000000000000 0400000000000000 01");
    pin_reply(Reply::MovedOut(moved), 0x8018, &golden);
}
