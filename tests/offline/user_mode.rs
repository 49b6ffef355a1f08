//! `tokenkeeperd --user`: one's own daemon, in one's own directories, for oneself.

use std::fs;
use std::process::Command;

use crate::support::home::set_mode;
use crate::support::login::PendingLogin;
use crate::support::{Backend, Config, Daemon, Home, ScriptedProvider};

/// The directories of a user, inside of `home`.
fn as_user<'a>(home: &Home, command: &'a mut Command) -> &'a mut Command {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path("user"));
    command.env("XDG_RUNTIME_DIR", home.path("user/run"))
}

#[test]
fn a_users_own_daemon_serves_its_user_without_any_rule() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::empty());
    let config = home.path("user/.config/tokenkeeper");
    fs::create_dir_all(config.join("conf.d")).unwrap();
    fs::create_dir_all(home.path("user/run")).unwrap();
    set_mode(&home.path("user/run"), 0o700);
    let text =
        Config::empty().provider("corp", &provider.issuer).to_toml(&home.path("config/secret").display().to_string());
    fs::write(config.join("conf.d/corp.toml"), text).unwrap();
    fs::write(config.join("tokenkeeper.toml"), format!("[audit]\ntarget = {:?}\n", home.syslog.target)).unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeeperd"));
    as_user(&home, &mut command).arg("--user");
    let _daemon = Daemon::start_command(&home, command);

    let cli = |arguments: &[&str]| {
        let mut command = home.cli_command();
        as_user(&home, &mut command).args(arguments);
        command
    };
    let pending = PendingLogin::start(cli(&["--json", "login", "corp", "--no-browser"]));
    crate::support::browser::Browser::default().log_in(&pending.url, "alice");
    pending.finish().ok();
    let token = cli(&["token", "corp"]).output().unwrap();
    assert!(token.status.success(), "{token:?}");
    assert!(provider.accepts(String::from_utf8(token.stdout).unwrap().trim_end()));
    assert!(home.path("user/.local/state/tokenkeeper").is_dir());
    assert_eq!(Backend::connect(&home.path("user/run/tokenkeeper/http.sock")).get("/readyz").status, 200);
}
