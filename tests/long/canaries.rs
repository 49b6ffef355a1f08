//! A stolen disk tells nothing: whatever is in very many sessions, no file of the state directory shows it, in whatever form.
//!
//! What the vault is given holds one mark over and over, so that every piece of it is found by looking for the mark alone. What a
//! provider gave, in real logins and refreshes, is looked for word for word.

use std::time::Duration;

use futures_executor::block_on;
use tokenkeeper_protocol::reply::UserInfo;
use tokenkeeper_protocol::{Secret, UnixSeconds};
use tokenkeeperd::domain::{Session, Tokens};

use super::extent;
use super::sample::{self, session};
use crate::support::canary::{Needles, places_with};
use crate::support::deadline::unix_seconds;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// In every token. Forms and URLs write some of its characters in another way.
const TOKEN: &str = "Cnry+7/Qz=K9w~VbX2+5/e";
/// In everything that tells who somebody is.
const PERSON: &str = "Zq7PersonCanary4";

/// Sessions that are written and synced together.
const BATCH: usize = 500;
/// Users who really log in, and whose tokens the schedule renews every second.
const USERS: usize = 10;

#[test]
fn no_file_shows_a_token_or_who_somebody_is() {
    let (sessions, refreshes) = (extent::times(2_000, 100_000), extent::times(60, 1_000));
    let provider = ScriptedProvider::start();
    provider.rotate(true).access_life(2);
    let recipient = age::x25519::Identity::generate().to_public();
    let config = Config::corp(&provider.issuer).provider("elsewhere", "http://127.0.0.1:9");
    let home = Home::new(&config.daemon(&format!("backup_recipients = [\"{recipient}\"]")));
    write_canaries(&home, sessions);

    let daemon = Daemon::start_command(&home, home.as_user());
    for user in 0..USERS {
        home.login(&format!("{PERSON}-{user}"));
    }
    // Step by step: a thousand take longer than anything is waited for at once.
    for count in (0..=refreshes).step_by(USERS) {
        provider.wait_for("refresh_token", count);
    }
    let backup = home.path("backup.age");
    home.cli(["store", "backup", "--output", backup.to_str().unwrap()]).ok();
    // A crash leaves the log of the database behind, a stop its tables.
    daemon.kill();
    let mut secrets = provider.secrets();
    secrets.push(TOKEN.to_owned());
    let shown = Needles::disguised(&[&secrets[..], &[PERSON.to_owned()]].concat()).within_file(&backup);
    assert!(shown.is_empty(), "a backup shows {:?}", &shown[..shown.len().min(10)]);
    assert_nothing_shows(&home, &secrets);
    Daemon::start_command(&home, home.as_user()).stop();
    assert_nothing_shows(&home, &secrets);
    println!("{sessions} sessions and {} secrets of a provider: none to be found", secrets.len() - 1);
}

fn assert_nothing_shows(home: &Home, secrets: &[String]) {
    let leaked = places_with(home, secrets);
    assert!(leaked.is_empty(), "tokens are to be found: {:?}", &leaked[..leaked.len().min(10)]);
    // The audit trail says who came: that is what it is for. The disk does not.
    let people = [PERSON.to_owned()];
    let told: Vec<_> = places_with(home, &people).into_iter().filter(|it| it.0.starts_with(home.state_dir())).collect();
    assert!(told.is_empty(), "people are to be found: {:?}", &told[..told.len().min(10)]);
}

fn write_canaries(home: &Home, count: usize) {
    let vault = sample::open(&home.state_dir(), &home.identity_file()).unwrap();
    let (numbers, now): (Vec<_>, _) = ((0..count as u64).collect(), UnixSeconds(unix_seconds()));
    for batch in numbers.chunks(BATCH) {
        let mut change = vault.change(now);
        for number in batch {
            change.insert(&canary(*number, now)).unwrap();
        }
        block_on(change.commit()).unwrap();
    }
}

fn canary(number: u64, now: UnixSeconds) -> Session {
    let plain = session(number, 1);
    let mark = |kind: &str, length| Secret::from(sample::text(&format!("{TOKEN}{kind}"), number, 1, length));
    let mut access = plain.tokens.clone().unwrap().access;
    (access.token, access.obtained_at, access.expires_at) = (mark("a", 1_000), now, now + Duration::from_hours(24));
    Session {
        provider: "elsewhere".parse().unwrap(),
        user: UserInfo {
            name: format!("{PERSON}-{number}").parse().unwrap(),
            subject: format!("{number}{PERSON}"),
            email: Some(format!("{PERSON}.{number}@corp.example")),
            ..plain.user.clone()
        },
        device: Some(format!("laptop of {PERSON}")),
        opened_at: now,
        ends_at: now + Duration::from_hours(24 * 30),
        tokens: Some(Tokens { access, refresh: Some(mark("r", 100)), id: Some(mark("i", 900)), refresh_life: None }),
        due_at: Some(now + Duration::from_hours(17)),
        prune_at: now + Duration::from_hours(24 * 30),
        ..plain
    }
}
