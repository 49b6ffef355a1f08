//! The examples of `docs/audit.md` are the golden records: every event, in both forms, byte for byte but for the time of sending.

use tokenkeeper_protocol::{AccountName, ProviderName, SessionRef, UnixSeconds};

use super::*;
use crate::audit::What;
use crate::domain::Loss;

const DOCUMENTATION: &str = include_str!("../../../docs/audit.md");
const SOURCE: &str = include_str!("../event.rs");

fn shop() -> String {
    "shop.service (uid 33, pid 812)".into()
}

fn corp() -> ProviderName {
    "corp".parse().unwrap()
}

fn session() -> SessionRef {
    "7k3vq2mx".parse().unwrap()
}

fn nightly() -> AccountName {
    "nightly".parse().unwrap()
}

/// One of each, in the order of the documentation.
fn examples() -> Vec<What> {
    let (peer, provider, session) = (shop(), corp(), session());
    let why = "the provider answered HTTP 503".to_owned();
    vec![
        What::DaemonStarted { version: "0.1.0".into() },
        What::DaemonStopped,
        What::ConfigReloaded,
        What::ConfigRefused { why: r#"corp.toml:3:1: unknown key "clientid"; did you mean "client_id"?"#.into() },
        What::LoginBegun { peer: peer.clone(), provider: provider.clone() },
        What::LoginCompleted { peer: peer.clone(), provider: provider.clone(), session, user: "alice".into() },
        What::LoginFailed { peer: peer.clone(), provider: provider.clone(), why: why.clone() },
        What::TokenHandedOut { peer: peer.clone(), session, generation: 7, count: 1 },
        What::TokensHandedOutUnlisted { peer: "crawler.service (uid 61)".into(), count: 2113 },
        What::RefreshDone { session, provider: provider.clone(), generation: 8 },
        What::RefreshFailed { session, provider: provider.clone(), why, lost: None },
        What::LoggedOut { peer, session, provider: provider.clone() },
        What::Revoked { session, provider: provider.clone(), outcome: "done".into() },
        What::Expired { session, provider: provider.clone(), state: "needs_login".into(), lost: Some(Loss::TooOld) },
        What::Removed { session, provider: provider.clone() },
        What::Denied {
            peer: "backup.service (uid 34, pid 977)".into(),
            action: "token".into(),
            target: "7k3vq2mx".into(),
            reference: "r-5f2c9".into(),
            count: 1,
        },
        What::ScopeNarrowed { session, provider: provider.clone(), missing: "mail files".into() },
        What::AccountOpened { account: nightly(), session: "m40c8ffe".parse().unwrap(), provider: provider.clone() },
        What::AccountClosed { account: nightly(), session: "m40c8ffe".parse().unwrap(), provider },
        What::ClockJumped { by_seconds: -86_400, state: "unconfirmed".into() },
        What::KeysRotating { peer: "uid 0 (pid 4711)".into(), epoch: 2 },
        What::KeysRotated { epoch: 2 },
        What::KeysRecovered { peer: "uid 0 (pid 4711)".into() },
        What::KeysNotRecovered {
            peer: "uid 0 (pid 4711)".into(),
            why: "the keyring does not open with this identity".into(),
        },
        What::RollbackNoticed { found: 412, anchored: Some(977), why: "the store is older than its anchor".into() },
        What::RollbackAccepted { peer: "uid 0 (pid 4711)".into(), found: 412, anchored: None },
        What::StoreDamaged { findings: 2, first: "sessions 376b3376: a record does not open".into() },
        What::BackupTaken { peer: "uid 0 (pid 4711)".into(), sessions: 1200 },
        What::Restored { sessions: 1200, generation: 50_211 },
        What::MovedOut { peer: "uid 0 (pid 4711)".into(), sessions: 1200, generation: 50_211 },
        What::MoveOutConfirmed { peer: "uid 0 (pid 4711)".into(), generation: 50_211 },
        What::MoveOutCancelled { peer: "uid 0 (pid 4711)".into(), generation: 50_211 },
        What::Migrated { from: 1, to: 2 },
        What::Erased {
            peer: "uid 0 (pid 4711)".into(),
            provider: corp(),
            sessions: 2,
            not_revoked: 0,
            seconds: 3,
            forced: false,
        },
    ]
}

fn event(what: What) -> Event {
    Event { at: UnixSeconds(1_795_384_080), what }
}

fn render(form: &Form, what: What) -> String {
    String::from_utf8(form.render(&event(what))).expect("a record is UTF-8")
}

/// The record with the documentation's time of sending in the place of its own.
fn bsd(what: What) -> String {
    let record = render(&Form::bsd(4242), what);
    let (priority, rest) = record.split_once('>').expect("a priority");
    let (time, rest) = rest.split_at(15);
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).skip(3).collect();
    assert_eq!(shape, " 00 00:00:00", "a time as RFC 3164 wants it: {record}");
    format!("{priority}>Nov 22 21:48:00{rest}")
}

fn structured(what: What) -> String {
    let record = render(&Form::structured(4242, "web1"), what);
    let [priority, time, rest] = record.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{record}") };
    chrono::DateTime::parse_from_rfc3339(time).expect("a time as RFC 5424 wants it");
    assert!(time.ends_with('Z'), "{time}");
    format!("{priority} 2026-11-22T21:48:00Z {rest}")
}

#[test]
fn every_event_reads_as_documented() {
    let mut documented = DOCUMENTATION.lines().filter(|line| line.starts_with('<'));
    for what in examples() {
        assert_eq!(documented.next(), Some(&*bsd(what.clone())));
        assert_eq!(documented.next(), Some(&*structured(what)));
    }
    assert_eq!(documented.next(), None, "an example of something that does not exist");
}

#[test]
fn every_event_has_its_section_its_number_and_its_fields_documented() {
    for (position, what) in examples().into_iter().enumerate() {
        let record = Record::from(&event(what));
        assert_eq!(record.number as usize, position + 1, "{}", record.name);
        let heading = format!("\n### `{}`\n", record.name);
        let (_, section) = DOCUMENTATION.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
        let section = section.split("\n#").next().unwrap();
        let severity = match record.severity {
            syslog::Severity::LOG_NOTICE => "Notice",
            syslog::Severity::LOG_WARNING => "Warning",
            _ => panic!("{} is neither notice nor warning", record.name),
        };
        assert!(section.contains(&format!("{severity}, message id {}.", record.number)), "{heading}");
        for (field, _) in record.fields.iter().skip(2) {
            assert!(section.contains(&format!("`{field}`")), "{heading} does not tell of `{field}`");
        }
    }
}

#[test]
fn every_kind_of_event_is_among_the_examples() {
    let source = syn::parse_file(SOURCE).unwrap();
    let vocabulary = source.items.iter().find_map(|item| match item {
        syn::Item::Enum(it) if it.ident == "What" => Some(it),
        _ => None,
    });
    let kinds: Vec<_> = vocabulary.unwrap().variants.iter().map(|variant| variant.ident.to_string()).collect();
    let shown = examples().into_iter().map(|what| {
        let debug = format!("{what:?}");
        debug.split(' ').next().unwrap_or_default().to_owned()
    });
    assert_eq!(shown.collect::<Vec<_>>(), kinds);
}

#[test]
fn a_user_name_cannot_forge_fields_or_records() {
    let user = "x\" session=\"b91xw0tz\"]\\\n<85>sshd[1]: \u{202e}".to_owned();
    let what = What::LoginCompleted { peer: shop(), provider: corp(), session: session(), user };
    let record = bsd(what.clone());
    assert!(record.ends_with(r#" user="x\" session=\"b91xw0tz\"]\\<U+000A><85>sshd[1]: <U+202E>""#), "{record}");
    let record = structured(what);
    assert!(
        record.contains(r#" user="x\" session=\"b91xw0tz\"\]\\<U+000A><85>sshd[1\]: <U+202E>"] login completed"#),
        "{record}"
    );
}

#[test]
fn no_record_is_longer_than_two_kibibytes() {
    let worst: String = "\"]\\ü\n".repeat(10_000);
    let provider: ProviderName = "p".repeat(64).parse().unwrap();
    let (peer, why) = (worst.clone(), worst.clone());
    let longest = [
        What::LoginCompleted {
            peer: peer.clone(),
            provider: provider.clone(),
            session: session(),
            user: worst.clone(),
        },
        What::LoginFailed { peer: peer.clone(), provider: provider.clone(), why: why.clone() },
        What::RefreshFailed { session: session(), provider, why, lost: Some(Loss::Refused) },
        What::Denied { peer, action: worst.clone(), target: worst.clone(), reference: worst, count: u64::MAX },
    ];
    let forms = [Form::bsd(u32::MAX), Form::structured(u32::MAX, &"h".repeat(64))];
    for (what, form) in longest.iter().flat_map(|what| forms.iter().map(move |form| (what, form))) {
        let length = render(form, what.clone()).len();
        assert!(length <= 2048, "{length} bytes of {what:.40?}");
    }
}

#[test]
fn a_host_name_that_would_break_the_header_is_given_as_unknown() {
    for odd in ["", "web 1", "wëb", "web\n1"] {
        let record = render(&Form::structured(4242, odd), What::DaemonStopped);
        assert!(record.contains("Z - tokenkeeperd 4242 2 ["), "{record}");
    }
}

#[test]
fn a_time_beyond_the_calendar_is_given_in_seconds() {
    let event = Event { at: UnixSeconds(i64::MAX), what: What::DaemonStopped };
    let record = String::from_utf8(Form::bsd(1).render(&event)).unwrap();
    assert!(record.ends_with(r#"event="daemon_stopped" at="9223372036854775807""#), "{record}");
}
