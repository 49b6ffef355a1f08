//! Nothing secret is written down in the clear, whatever happens.

use crate::support::browser::Browser;
use crate::support::canary::{assert_none_leaked, assert_not_shown};
use crate::support::config::CLIENT_SECRET;
use crate::support::wire::{Wire, complete};
use crate::support::{Config, Daemon, Fault, Home, Lie, ScriptedProvider};

#[test]
fn no_secret_is_in_the_log_the_audit_trail_or_the_state_directory() {
    let provider = ScriptedProvider::start();
    provider.access_life(100).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start_command(&home, {
        let mut command = home.daemon_command();
        command.env("TOKENKEEPER_LOG", "trace");
        command
    });

    // What goes well.
    let alice = home.login("alice");
    home.login("bob");
    home.cli(["token", "corp", "--user", "alice"]).ok();
    home.age_token();
    provider.access_life(1000);
    home.cli(["token", "--session", &alice, "--min-valid", "99s"]).ok();
    // What goes wrong, with the secret in hand.
    provider.fault("refresh_token", Fault::Quote(400, "invalid_grant"));
    home.cli(["token", "corp", "--user", "bob", "--min-valid", "99s"]).fails_with(3);
    let mut wire = Wire::connect(&home.socket());
    for lie in [Lie::Signature, Lie::Nonce, Lie::State] {
        let (login_id, url) = wire.begin();
        provider.lie(lie);
        let back = Browser::default().log_in_until(&url, "mallory", crate::support::wire::CALLBACK);
        wire.problem(&complete(login_id, &back));
        provider.tell_the_truth();
    }
    let quoted = format!(r#"{{"error":"invalid_client","error_description":"{CLIENT_SECRET} is wrong"}}"#);
    provider.fault("refresh_token", Fault::Answer(401, quoted));
    home.age_token();
    home.cli(["token", "--session", &alice, "--min-valid", "999s"]).fails_with(78);
    let mut shown = Vec::new();
    for (user, said, code) in [
        ("carol", Fault::Parrot(400, "invalid_grant"), 3),
        ("dave", Fault::Parrot(401, "invalid_client"), 78),
        ("erin", Fault::Parrot(200, ""), 75),
        ("frank", Fault::CutError(400, r#"{"error":"invalid_grant"}"#), 75),
    ] {
        let session = home.login(user);
        home.age_token();
        provider.fault("refresh_token", said);
        shown.push(home.cli(["token", "--session", &session, "--min-valid", "999s"]).fails_with(code));
        for look in [["session", &session], ["--json", "sessions"], ["--json", "status"]] {
            shown.push(format!("{:?}", home.cli(look)));
        }
    }
    // A crash leaves the log of the database behind, a stop its tables.
    daemon.kill();
    let daemon = Daemon::start(&home);
    home.cli(["logout", &alice]).ok();
    daemon.stop();

    let mut secrets = provider.secrets();
    secrets.push(CLIENT_SECRET.to_owned());
    for asked in provider.requests("/authorize") {
        secrets.extend(["state", "nonce"].iter().filter_map(|name| asked.parameter(name)));
    }
    let identity = std::fs::read_to_string(home.identity_file()).unwrap();
    secrets.push(identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap().to_owned());
    assert!(secrets.len() > 20, "{}", secrets.len());
    assert_none_leaked(&home, &secrets);
    let shown = shown.join("\n");
    assert_not_shown(&shown, &secrets);
    assert!(shown.contains("(Basic [redacted]= [redacted] [redacted] [redacted]"), "{shown}");
    assert!(shown.contains("its reason could not be read: the connection to "), "{shown}");
    // Nor who the users are: a stolen disk tells nothing.
    let personal = ["alice@corp.example", "sub-alice"].map(str::to_owned);
    let on_disk = crate::support::canary::places_with(&home, &personal);
    assert!(on_disk.iter().all(|(place, _)| !place.starts_with(home.state_dir())), "{on_disk:?}");
}
