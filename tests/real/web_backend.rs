//! The web backend of the guide, with a person at a real browser and the provider's own login pages.

use crate::support::http;
use crate::support::{Chromium, Config, Daemon, Home, RealProvider, Shop};

/// Everything but the browser.
struct Stage {
    provider: RealProvider,
    home: Home,
    daemon: Daemon,
}

impl Stage {
    fn new(access_life: u32) -> Self {
        let provider = RealProvider::start(access_life, &["--own-pages"]);
        let home = Home::new(&Config::corp(&provider.issuer));
        let daemon = Daemon::start(&home);
        Self { provider, home, daemon }
    }

    fn shop(&self) -> Shop {
        Shop::start(&self.home, &self.provider)
    }
}

/// What a person does at the provider.
fn sign_in(browser: &Chromium, user: &str) {
    browser.fill("input[name=login]", user);
    browser.fill("input[name=password]", "anything");
    browser.leave_by("button.login-submit");
    // The next page of the provider asks whether the shop may know who this is.
    browser.text("ul");
    browser.leave_by("button.login-submit");
}

/// The session that the shop's cookie refers to.
fn session_of(browser: &Chromium) -> String {
    let cookies = browser.cookies();
    let who = cookies.as_array().unwrap().iter().find(|cookie| cookie["name"] == "who").expect("somebody is logged in");
    assert_eq!((&who["httpOnly"], &who["sameSite"]), (&true.into(), &"Lax".into()));
    let (session, _) = who["value"].as_str().unwrap().trim_matches('"').split_once('|').unwrap();
    session.to_owned()
}

#[test]
fn a_person_logs_in_in_a_real_browser_uses_the_api_beyond_the_life_of_a_token_and_logs_out() {
    let stage = Stage::new(2);
    let (shop, browser) = (stage.shop(), Chromium::start());
    browser.open(&shop.page("/"));
    browser.leave_by("#login");
    sign_in(&browser, "alice");
    assert_eq!(browser.text("#user"), "alice");

    for _ in 0..3 {
        browser.open(&shop.page("/orders"));
        let answer: serde_json::Value = serde_json::from_str(&browser.text("#answer")).unwrap();
        assert_eq!(answer["sub"], "alice");
        std::thread::park_timeout(std::time::Duration::from_secs(2));
    }
    assert!(stage.provider.count("refresh_token") >= 2);

    browser.open(&shop.page("/"));
    browser.leave_by("#logout");
    browser.open(&shop.page("/"));
    browser.text("#login");
    assert_eq!(stage.provider.count("/token/revocation"), 2);
}

#[test]
fn who_refuses_at_the_provider_is_told_so_and_can_log_in_after_all() {
    let stage = Stage::new(60);
    let (shop, browser) = (stage.shop(), Chromium::start());
    browser.open(&shop.page("/login"));
    browser.leave_by("a[href$=abort]");
    let problem = browser.text("#problem");
    assert!(problem.contains("access_denied"), "{problem}");
    browser.leave_by("#login");
    sign_in(&browser, "alice");
    assert_eq!(browser.text("#user"), "alice");
}

#[test]
fn a_login_outlives_daemon_and_worker_and_may_end_at_another_worker() {
    let mut stage = Stage::new(60);
    let here = stage.shop();
    // Cookies are by host, not by port: what another worker sets comes back here.
    let there = Shop::start_with(&stage.home, &stage.provider, &["--public-url", &here.address]);
    let browser = Chromium::start();
    browser.open(&there.page("/login"));
    browser.text("button.login-submit");

    let port = here.port().to_owned();
    drop((here, there));
    stage.daemon.kill();
    stage.daemon = Daemon::start(&stage.home);
    let _successor = Shop::start_with(&stage.home, &stage.provider, &["--port", &port]);
    sign_in(&browser, "alice");
    assert_eq!(browser.text("#user"), "alice");
}

#[test]
fn a_callback_that_is_slipped_to_another_browser_logs_nobody_in() {
    let stage = Stage::new(60);
    let (shop, mallory) = (stage.shop(), Chromium::start());
    // The attacker stops before the callback, and sends its address to a victim.
    let begun = http::get(&shop.page("/login")).unwrap();
    let authorize = begun.headers_named("location").next().unwrap();
    let begun_with = http::parse(authorize).query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let slipped = shop.page(&format!("/callback?code=stolen&state={begun_with}"));
    mallory.open(&slipped);
    assert!(mallory.text("body").contains("This browser began no login"));
    // With a login of their own under way it does not work either.
    mallory.open(&shop.page("/login"));
    mallory.text("button.login-submit");
    mallory.open(&slipped);
    assert!(mallory.text("#problem").contains("state"));
    assert_eq!(stage.provider.count("authorization_code"), 0);
}

#[test]
fn a_session_that_died_at_the_provider_goes_on_under_its_reference_after_the_next_login() {
    let stage = Stage::new(2);
    let (shop, browser) = (stage.shop(), Chromium::start());
    browser.open(&shop.page("/login"));
    sign_in(&browser, "alice");
    browser.text("#user");
    let session = session_of(&browser);

    let refusal = serde_json::json!({
        "on": "refresh_token", "do": "answer", "status": 400, "body": "{\"error\":\"invalid_grant\"}",
    });
    stage.provider.fault(&refusal);
    std::thread::park_timeout(std::time::Duration::from_secs(3));
    browser.open(&shop.page("/orders"));
    // The provider still knows who sits there, and asks for consent only.
    browser.leave_by("button.login-submit");
    assert_eq!(browser.text("#user"), "alice");
    assert_eq!(session_of(&browser), session);
}
