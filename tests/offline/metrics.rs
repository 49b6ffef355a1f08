//! What monitoring gets to see.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

/// Every sample of a text, which is checked on the way: no line is anything but a comment or a sample.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
        })
        .collect()
}

fn scrape(home: &Home) -> BTreeMap<String, f64> {
    samples(&home.cli(["metrics"]).ok())
}

#[test]
fn counters_move_with_what_happens_and_gauges_say_how_it_is() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let before = scrape(&home);
    let session = home.login("alice");
    let mut wire = Wire::connect(&home.socket());
    for _ in 0..40 {
        wire.ask(&wire::token("corp", None));
    }
    home.age_token();
    wire.ask(&wire::token("corp", Some(99)));
    provider.fault("refresh_token", Fault::Answer(503, "busy".to_owned()));
    home.age_token();
    wire.problem(&wire::token("corp", Some(99)));
    wire.problem(&wire::token("nowhere", None));
    let busy = scrape(&home);
    home.cli(["logout", &session]).ok();
    let after = scrape(&home);

    let of = |samples: &BTreeMap<String, f64>, name: &str| {
        samples.get(&format!("tokenkeeper_{name}")).map(|value| format!("{value}"))
    };
    for (name, was, is) in [
        (r#"requests_total{request="token",code="ok"}"#, Some("0"), Some("41")),
        (r#"requests_total{request="token",code="try_later"}"#, None, Some("1")),
        (r#"requests_total{request="token",code="not_found"}"#, None, Some("1")),
        ("tokens_handed_out_total", Some("0"), Some("41")),
        (r#"refreshes_total{provider="corp",outcome="done"}"#, Some("0"), Some("1")),
        (r#"refreshes_total{provider="corp",outcome="failed"}"#, Some("0"), Some("1")),
        (r#"logins_total{provider="corp",outcome="completed"}"#, Some("0"), Some("1")),
        (r#"logouts_total{provider="corp"}"#, Some("0"), Some("0")),
        (r#"sessions{state="active"}"#, Some("0"), Some("1")),
        (r#"provider_up{provider="corp"}"#, None, Some("0")),
        (r#"health{state="degraded"}"#, Some("0"), Some("1")),
        ("ready", Some("1"), Some("1")),
        ("cache_sessions", Some("0"), Some("1")),
        ("connections_open", Some("1"), Some("2")),
    ] {
        let told = (of(&before, name), of(&busy, name));
        assert_eq!((told.0.as_deref(), told.1.as_deref()), (was, is), "{name}");
    }
    assert_eq!(of(&after, r#"logouts_total{provider="corp"}"#).as_deref(), Some("1"));
    assert!(after.keys().all(|name| !name.contains(&session) && !name.contains("alice")), "{after:?}");
    daemon.stop();
}

#[test]
fn a_refused_reload_is_seen_from_outside() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    assert_eq!(scrape(&home)["tokenkeeper_config_reload_ok"].to_string(), "1");
    home.configure(&Config::corp(&provider.issuer).with("clientid = \"typing error\""));
    daemon.reload();
    assert_eq!(scrape(&home)["tokenkeeper_config_reload_ok"].to_string(), "0");
}

#[test]
fn the_textfile_of_a_collector_is_written_as_a_whole_for_it_to_read() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let file = home.path("run/tokenkeeper.prom");
    std::fs::write(&file, "old").unwrap();
    assert_eq!(home.cli(["metrics", "--output", &file.display().to_string()]).ok(), "");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(samples(text.trim_end()).contains_key("tokenkeeper_ready"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    // When the daemon is gone, the old text stays: its age says so.
    daemon.stop();
    home.cli(["metrics", "--output", &file.display().to_string()]).fails_with(69);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let nowhere = home.path("nowhere/tokenkeeper.prom");
    let _daemon = Daemon::start(&home);
    let told = home.cli(["metrics", "--output", &nowhere.display().to_string()]).fails_with(74);
    assert!(told.contains("cannot write"), "{told}");
}
