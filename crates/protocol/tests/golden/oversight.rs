//! Replies to those who look after the daemon.

use tokenkeeper_protocol::Reply;
use tokenkeeper_protocol::reply::{
    Explanation, HistoryEntry, HistoryPage, Identity, KeysRecovered, KeysReply, KeysRotation, ProviderReport,
    ProviderStatus, ProviderStep, ProviderView, ProvidersReply, RollbackAccepted, RuleOutcome, RuleView, StepOutcome,
};

use crate::notation::{AT, EVENING, pin_reply};

const CORP: &str = r#"0400000000000000 "corp""#;
const RULE: &str = r#"0300000000000000 "a:1" 0600000000000000 "user:7" 0100000000000000 0500000000000000 "token"
    01 0400000000000000 "corp" 0300000000000000 "own""#;

fn rule() -> RuleView {
    RuleView {
        source: "a:1".to_owned(),
        who: "user:7".to_owned(),
        may: vec!["token".to_owned()],
        provider: Some("corp".parse().unwrap()),
        sessions: "own".to_owned(),
    }
}

#[test]
fn a_page_of_history_is_these_bytes() {
    let entry = HistoryEntry {
        at: AT,
        event: "refresh_done".to_owned(),
        peer: Some("uid 7".to_owned()),
        detail: "x".to_owned(),
    };
    let golden = format!(
        r#"0100000000000000 {EVENING} 0c00000000000000 "refresh_done" 01 0500000000000000 "uid 7"
        0100000000000000 "x" 01 0600000000000000"#
    );
    pin_reply(Reply::History(HistoryPage { entries: vec![entry], next: Some(6) }), 0x8009, &golden);
}

#[test]
fn an_identity_is_these_bytes() {
    let reply = Identity {
        uid: 7,
        gids: vec![8],
        pid: 9,
        unit: Some("a.service".to_owned()),
        owner: "a.service".to_owned(),
        rules: vec![rule()],
    };
    let golden = format!(
        r#"07000000 0100000000000000 08000000 09000000 01 0900000000000000 "a.service"
        0900000000000000 "a.service" 0100000000000000 {RULE}"#
    );
    pin_reply(Reply::Identity(reply), 0x800a, &golden);
}

#[test]
fn an_explanation_is_these_bytes() {
    let outcome = RuleOutcome { rule: rule(), allows: true, why: "yes".to_owned() };
    let reply = Explanation {
        allowed: true,
        verdict: "fine".to_owned(),
        rules: vec![outcome],
        advice: Some("none".to_owned()),
    };
    let golden = format!(
        r#"01 0400000000000000 "fine" 0100000000000000 {RULE} 01 0300000000000000 "yes" 01 0400000000000000 "none""#
    );
    pin_reply(Reply::Explanation(reply), 0x800b, &golden);
}

#[test]
fn the_providers_are_these_bytes() {
    let view = ProviderView {
        status: ProviderStatus { provider: "corp".parse().unwrap(), last_success_at: Some(AT), failure: None },
        kind: "oidc".to_owned(),
        issuer: "https://i".to_owned(),
        client_id: "shop".to_owned(),
        client_authentication: "basic".to_owned(),
        redirect_uris: vec!["loopback".to_owned()],
        scopes: vec!["openid".to_owned()],
        max_age_seconds: 256,
        accounts: vec!["nightly".parse().unwrap()],
    };
    let golden = format!(
        r#"0100000000000000 {CORP} 01 {EVENING} 00 0400000000000000 "oidc" 0900000000000000 "https://i"
        0400000000000000 "shop" 0500000000000000 "basic" 0100000000000000 0800000000000000 "loopback"
        0100000000000000 0600000000000000 "openid" 0001000000000000 0100000000000000 0700000000000000 "nightly""#
    );
    pin_reply(Reply::Providers(ProvidersReply { providers: vec![view] }), 0x800c, &golden);
}

#[test]
fn the_report_of_a_provider_is_these_bytes() {
    for (outcome, number) in [(StepOutcome::Passed, "00"), (StepOutcome::Warned, "01"), (StepOutcome::Failed, "02")] {
        let step = ProviderStep { name: "keys".to_owned(), outcome, detail: "2".to_owned(), milliseconds: 12 };
        let reply = ProviderReport { provider: "corp".parse().unwrap(), works: true, steps: vec![step] };
        let golden = format!(
            r#"{CORP} 01 0100000000000000 0400000000000000 "keys" {number}000000 0100000000000000 "2" 0c000000"#
        );
        pin_reply(Reply::ProviderReport(reply), 0x800d, &golden);
    }
}

#[test]
fn metrics_are_these_bytes() {
    pin_reply(Reply::Metrics("# EOF\n".to_owned()), 0x800e, "0600000000000000 232045 4f460a");
}

#[test]
fn the_keys_are_these_bytes() {
    let rotation = KeysRotation { resealed: 7, seen: 8, table: Some("due".to_owned()), damaged: 9, trouble: None };
    let keys = KeysReply {
        identity_source: "TPM2".to_owned(),
        recovery_recipients: vec!["age1x".to_owned()],
        epoch: 3,
        old_epochs: vec![2],
        rotation: Some(rotation),
    };
    let golden = r#"0400000000000000 "TPM2" 0100000000000000 0500000000000000 "age1x" 03000000 0100000000000000 02000000
        01 0700000000000000 0800000000000000 01 0300000000000000 "due" 0900000000000000 00"#;
    pin_reply(Reply::Keys(keys), 0x8011, golden);
    pin_reply(Reply::KeysRotating(4), 0x8012, "04000000");
    let recovered = KeysRecovered { identity_file: Some("/i".to_owned()), advice: "x".to_owned() };
    pin_reply(Reply::KeysRecovered(recovered), 0x8013, r#"01 0200000000000000 "/i" 0100000000000000 "x""#);
}

#[test]
fn the_end_of_a_quarantine_is_these_bytes() {
    let reply = RollbackAccepted {
        found: 7,
        anchored: Some(256),
        why: "old".to_owned(),
        noticed_at: tokenkeeper_protocol::UnixSeconds(9),
    };
    let golden = r#"0700000000000000 01 0001000000000000 0300000000000000 "old" 0900000000000000"#;
    pin_reply(Reply::RollbackAccepted(reply), 0x8017, golden);
}
