//! What the syslog server gets: a record of everything, in the form that the way there wants, and of no secret.

use crate::support::{Config, Daemon, Home, ScriptedProvider, SyslogReceiver};

/// A day in the life of one session.
fn live(home: &Home, provider: &ScriptedProvider) -> String {
    provider.access_life(100);
    let daemon = Daemon::start(home);
    let session = home.login("alice");
    home.token();
    home.age_token();
    provider.access_life(1000);
    home.cli(["token", "corp", "--min-valid", "99s"]).ok();
    daemon.reload();
    home.cli(["logout", &session]).ok();
    daemon.stop();
    session
}

/// What must be on record of it. The daemon's name stands in every one.
fn is_complete(records: &SyslogReceiver, session: &str) {
    for parts in [
        &["daemon_started"][..],
        &["login_begun", "corp"],
        &["login_completed", "corp", session, "alice"],
        &["token_handed_out", session],
        &["refresh_done", "corp", session],
        &["config_reloaded"],
        &["logged_out", "corp", session],
        &["revoked", "corp", session, "done"],
        &["daemon_stopped"],
    ] {
        let record = records.wait_for(parts);
        assert!(record.contains("tokenkeeperd"), "{record}");
    }
}

#[test]
fn a_syslog_daemon_on_a_unix_socket_gets_rfc_5424() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let session = live(&home, &provider);
    is_complete(&home.syslog, &session);
    for record in home.syslog.records() {
        assert!(has_rfc5424_header(&record), "{record}");
    }
}

#[test]
fn the_local_syslog_gets_the_bsd_form() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let local = SyslogReceiver::bsd(&home.path("run/log"));
    home.configure(&Config::corp(&provider.issuer).audit(&local.target));
    let session = live(&home, &provider);
    is_complete(&local, &session);
    for record in local.records() {
        assert!(has_bsd_header(&record), "{record}");
    }
}

#[test]
fn a_remote_server_gets_one_datagram_for_each_record() {
    let provider = ScriptedProvider::start();
    let udp = SyslogReceiver::udp();
    let home = Home::new(&Config::corp(&provider.issuer).audit(&udp.target));
    let session = live(&home, &provider);
    is_complete(&udp, &session);
    for record in udp.records() {
        assert!(has_rfc5424_header(&record), "{record}");
    }
}

#[test]
fn a_remote_server_over_tcp_gets_counted_records() {
    let provider = ScriptedProvider::start();
    let tcp = SyslogReceiver::tcp();
    let home = Home::new(&Config::corp(&provider.issuer).audit(&tcp.target));
    let session = live(&home, &provider);
    is_complete(&tcp, &session);
    for record in tcp.records() {
        assert!(has_rfc5424_header(&record), "{record}");
    }
}

#[test]
fn a_hand_out_is_told_at_once_and_repetitions_are_counted() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let mut wire = crate::support::Wire::connect(&home.socket());
    for _ in 0..500 {
        wire.ask(&crate::support::wire::token("corp", None));
    }
    home.syslog.wait_for(&["token_handed_out", &session, "count=\"1\""]);
    assert!(home.syslog.matching(&["token_handed_out"]).len() < 10, "500 hand-outs are not 500 records");
    // What is counted and not yet told is told before the daemon goes.
    daemon.stop();
    home.syslog.wait_for(&["daemon_stopped"]);
    let told: u64 = home.syslog.matching(&["token_handed_out", &session]).iter().map(|record| count(record)).sum();
    assert_eq!(told, 500);
}

#[test]
fn records_wait_for_a_syslog_server_that_is_not_there_yet_even_over_a_crash() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let late = home.path("run/late");
    home.configure(&Config::corp(&provider.issuer).audit(&format!("unix:{}", late.display())));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    daemon.kill();
    let receiver = SyslogReceiver::unix(&late);
    let _daemon = Daemon::start(&home);
    receiver.wait_for(&["login_completed", &session]);
}

#[test]
fn a_name_that_would_break_a_record_does_not() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("user_name_claim = \"nickname\""));
    let _daemon = Daemon::start(&home);
    provider.claim("nickname", "a\" user=\"root] x");
    let session = home.login("alice");
    let record = home.syslog.wait_for(&["login_completed", &session]);
    assert!(record.contains(r#"a\" user=\"root\] "#), "{record}");
}

fn count(record: &str) -> u64 {
    let value = record.split_once("count=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value);
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no count in {record}"))
}

/// `<PRI>1 TIMESTAMP HOST tokenkeeperd PID MSGID [SD]`
fn has_rfc5424_header(record: &str) -> bool {
    let fields: Vec<_> = record.splitn(7, ' ').collect();
    let [start, time, _host, app, pid, _msgid, data] = fields[..] else { return false };
    is_authpriv(start.strip_suffix("1").unwrap_or_default())
        && time.contains('T')
        && app == "tokenkeeperd"
        && pid.parse::<u32>().is_ok()
        && data.starts_with('[')
}

/// `<PRI>Mmm dd hh:mm:ss tokenkeeperd[PID]: key="value" ...`, without a host name: journald would take it for the program.
fn has_bsd_header(record: &str) -> bool {
    let Some((start, rest)) = record.split_once('>') else { return false };
    is_authpriv(&format!("{start}>"))
        && rest.get(15..).is_some_and(|rest| rest.starts_with(" tokenkeeperd["))
        && rest.contains("]: ")
        && rest.contains("event=\"")
}

/// `<80>` to `<87>`.
fn is_authpriv(priority: &str) -> bool {
    let number =
        priority.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).and_then(|number| number.parse().ok());
    number.is_some_and(|number: u8| number / 8 == 10)
}
