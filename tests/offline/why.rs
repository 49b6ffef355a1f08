//! A session that died says why: to its user, in its history, in the audit trail, in the metrics and in the status.

use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

#[test]
fn what_the_provider_said_is_told_to_whoever_asks() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let mut config = Config::corp(&provider.issuer);
    config.rules[0].may.push("history".to_owned());
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    provider.fault(
        "refresh_token",
        Fault::Reply(
            400,
            &[("Content-Type", "application/json"), ("X-Request-Id", "req-4711")],
            r#"{"error": "invalid_grant", "error_description": "The grant was revoked by an administrator"}"#,
        ),
    );
    let told = home.cli(["token", "corp", "--min-valid", "99s"]).fails_with(3);
    let record = home.syslog.wait_for(&["refresh_failed", &session, "reason=\"refused\""]);
    let history = home.cli(["history", &session]).stdout;
    let shown = home.cli(["session", &session]).stdout;
    let listed = home.cli(["sessions"]).stdout;
    let status = home.cli(["status"]).stdout;
    assert!(listed.contains("invalid_grant") && listed.contains('…'), "the table has room for the beginning: {listed}");
    for text in [&told, &record, &history, &shown, &status] {
        for part in ["invalid_grant", "revoked by an administrator", "x-request-id req-4711"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
    let metrics = home.cli(["metrics"]).stdout;
    let lost = "tokenkeeper_sessions_lost_total{provider=\"corp\",reason=\"refused\"} 1";
    assert!(metrics.contains(lost), "{metrics}");
}
