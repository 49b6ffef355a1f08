//! Client credentials as a certified provider gives them.

use crate::support::config::me;
use crate::support::{Config, Daemon, Home, RealProvider};

/// The account `nightly` of the client `jobs`, with these lines more.
fn config(provider: &RealProvider, lines: &str) -> Config {
    let mut config = Config::empty().provider("corp", &provider.issuer);
    "jobs".clone_into(&mut config.providers[0].client_id);
    let account = format!("[service_account.nightly]\nprovider = \"corp\"\nscopes = [\"reports\"]\n{lines}\n");
    let rule = format!("[[allow]]\nwho = {:?}\nmay = [\"token\", \"list\"]\naccount = \"nightly\"\n", me());
    config.more(&account).more(&rule)
}

const ASK: [&str; 5] = ["token", "--account", "nightly", "--scope", "reports"];

#[test]
fn a_job_gets_a_token_that_is_replaced_ahead_of_its_expiry_and_revoked_in_the_end() {
    let provider = RealProvider::start(6, &[]);
    let home = Home::new(&config(&provider, ""));
    let daemon = Daemon::start(&home);
    let first = home.cli(ASK).ok();
    assert!(is_active(&provider, &first));
    home.syslog.wait_for(&["refresh_done", "generation=\"2\""]);
    let second = home.cli(ASK).ok();
    assert_ne!(first, second);
    assert!(is_active(&provider, &second));

    home.configure(&Config::empty().provider("corp", &provider.issuer));
    daemon.reload();
    home.syslog.wait_for(&["account_closed", "nightly"]);
    home.cli(ASK).fails_with(77);
}

#[test]
fn a_job_gets_a_token_for_one_resource() {
    let provider = RealProvider::start(60, &[]);
    let home = Home::new(&config(&provider, "resource = [\"https://api.corp.example\"]"));
    let _daemon = Daemon::start(&home);
    let token = home.cli(ASK.iter().chain(&["--resource", "https://api.corp.example"])).ok();
    assert!(is_active(&provider, &token));
}

#[test]
fn a_resource_that_the_provider_does_not_know_is_for_an_administrator() {
    let provider = RealProvider::start(60, &[]);
    let home = Home::new(&config(&provider, "resource = [\"https://other.example\"]"));
    let _daemon = Daemon::start(&home);
    let why = home.cli(ASK).fails_with(78);
    assert!(why.contains("invalid_target"), "{why}");
}

/// As the client itself may ask of its tokens.
fn is_active(provider: &RealProvider, token: &str) -> bool {
    use crate::support::config::CLIENT_SECRET;
    use crate::support::http;
    let authorization = http::basic("jobs", CLIENT_SECRET);
    let url = format!("{}/token/introspection", provider.issuer);
    let answer = http::post_form(&url, &[("Authorization", &authorization)], &[("token", token)]);
    answer.unwrap().json()["active"].as_bool().unwrap()
}
