//! `[daemon]`, `[schedule]` and `[audit]`: each may be missing, and so may each key in them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::endpoint;
use super::finding::Findings;
use super::keys;
use super::places::{Mode, Places};
use super::settings::{AuditTarget, DaemonSettings, ScheduleSettings};
use super::table::Table;
use super::value::{self, Complaint, DAY};

/// At about 3 KB for a session with its token, some 30 MB when all are in use.
const CACHE_SESSIONS: u64 = 10_000;
/// The greatest length of the path of a Unix socket (`sun_path`, without the closing zero).
const MAX_SOCKET_PATH: usize = 107;

/// Often enough for a session whose timer was lost to be refreshed before its token expires.
const SWEEP: &str = "0 */5 * * * *";
/// Once a day, at a time that other jobs of a host do not crowd.
const PRUNE: &str = "0 17 3 * * *";
/// Once a week, in the quietest hours: a disk seldom spoils what it holds.
const SCRUB: &str = "0 43 4 * * Sun";
const RETENTION: Duration = Duration::from_secs(7 * DAY);
/// A tenth of one core, and thirty synced writes: other work hardly notices. A million records take ten minutes.
const RESEAL_RATE: u64 = 2_000;
const LONGEST_RETENTION: u64 = 3650 * DAY;

/// `[daemon]`; `None` with at least one finding where neither it nor the environment says where things go.
pub(super) fn daemon(
    table: Option<Table<'_>>,
    places: &Places,
    mode: Mode,
    findings: &Findings,
) -> Option<DaemonSettings> {
    check(table, &keys::DAEMON);
    let path = |key| table.and_then(|table| table.parsed(key, absolute));
    let is_told = |key| table.is_some_and(|table| table.place_of(key).is_some());

    let state_dir = path("state_dir").or_else(|| places.state.clone());
    if state_dir.is_none() && !is_told("state_dir") {
        let next = "set $HOME, or state_dir in [daemon]";
        findings.error(None, format!("no place for the store: neither $XDG_STATE_HOME nor $HOME is set; {next}"));
    }
    let socket = table.and_then(|table| table.parsed("socket", socket_path));
    let socket = socket.or_else(|| places.runtime.as_ref().map(|dir| dir.join("tokenkeeper.sock")));
    if socket.is_none() && !is_told("socket") {
        let next = "log in through a session manager that sets it, or set socket in [daemon]";
        findings.error(None, format!("no place for the socket: $XDG_RUNTIME_DIR is not set; {next}"));
    }
    // Beside the other one, wherever that is: who moves one does not leave a second daemon's in the usual place.
    let beside = || socket.as_ref().and_then(|socket| socket.parent()).map(|dir| dir.join("http.sock"));
    let http_socket = table.and_then(|table| table.parsed("http_socket", http_socket)).unwrap_or_else(beside);
    let metrics_listen = table.and_then(|table| table.parsed("metrics_listen", loopback));
    let identity_file = path("identity_file");
    let anchor_file = path("anchor_file");
    if let (Some(table), Some(file)) = (table, &anchor_file)
        && let (Some(place), Some(dir)) = (table.place_of("anchor_file"), file.parent())
        && dir.try_exists().is_ok_and(|exists| !exists)
    {
        let next = "make it for the daemon's user, and name it in ReadWritePaths= of the unit";
        table.warning(place, format!("the directory of anchor_file, {}, is not there; {next}", dir.display()));
    }
    let recipients = |key| table.map(|table| recipients(table, key, mode)).unwrap_or_default();
    let (recovery_recipients, backup_recipients) = (recipients("recovery_recipients"), recipients("backup_recipients"));
    let cache_sessions =
        table.and_then(|table| table.number("cache_sessions", 1..=10_000_000)).unwrap_or(CACHE_SESSIONS);

    let state_dir = state_dir?;
    let identity_file = identity_file.unwrap_or_else(|| state_dir.join("identity"));
    Some(DaemonSettings {
        state_dir,
        socket: socket?,
        http_socket,
        metrics_listen,
        identity_file,
        anchor_file,
        recovery_recipients,
        backup_recipients,
        cache_sessions,
    })
}

/// `[schedule]`.
pub(super) fn schedule(table: Option<Table<'_>>) -> ScheduleSettings {
    check(table, &keys::SCHEDULE);
    let cron =
        |key, usual: &str| table.and_then(|table| table.parsed(key, value::cron)).unwrap_or_else(|| usual.to_owned());
    let retention = table.and_then(|table| table.parsed("retention", value::span(0..=LONGEST_RETENTION)));
    ScheduleSettings {
        sweep: cron("sweep", SWEEP),
        prune: cron("prune", PRUNE),
        scrub: cron("scrub", SCRUB),
        retention: retention.unwrap_or(RETENTION),
        rotate_keys: table.and_then(|table| table.parsed("rotate_keys", value::cron)),
        reseal_rate: table.and_then(|table| table.number("reseal_rate", 1..=1_000_000)).unwrap_or(RESEAL_RATE),
    }
}

/// `[audit]`.
pub(super) fn audit(table: Option<Table<'_>>) -> AuditTarget {
    check(table, &keys::AUDIT);
    let target = table.and_then(|table| table.parsed("target", endpoint::audit_target));
    target.unwrap_or_else(|| AuditTarget::Local(PathBuf::from("/dev/log")))
}

fn check(table: Option<Table<'_>>, keys: &keys::Keys) {
    if let Some(table) = table {
        table.check_keys(keys);
    }
}

fn absolute(text: &str) -> Result<PathBuf, Complaint> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path.to_owned());
    }
    Err(Complaint::new(format!("must be an absolute path, not {text:?}")))
}

fn socket_path(text: &str) -> Result<PathBuf, Complaint> {
    let path = absolute(text)?;
    if text.len() > MAX_SOCKET_PATH {
        return Err(Complaint::new(format!("is too long for a socket: Linux allows {MAX_SOCKET_PATH} bytes")));
    }
    Ok(path)
}

/// Who can open keys or backups is for root alone to say: a daemon that was broken into must not add itself.
fn recipients(table: Table<'_>, key: &'static str, mode: Mode) -> Vec<String> {
    let recipients = table.list(key, recipient).unwrap_or_default();
    if let Some(place) = table.place_of(key)
        && mode == Mode::System
        && !recipients.is_empty()
        && !table.is_for_root_alone()
    {
        let next = "run chown root and chmod go-w on the file and its directory";
        table.error(place, format!("{key} counts only in a file that nobody but root can change; {next}"));
    }
    recipients
}

/// Nothing if it is turned off.
fn http_socket(text: &str) -> Result<Option<PathBuf>, Complaint> {
    if text == "off" { Ok(None) } else { socket_path(text).map(Some) }
}

/// An address that only this host can reach. Names are not taken: they lead where others say.
fn loopback(text: &str) -> Result<SocketAddr, Complaint> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback() && address.port() != 0);
    let allowed = "write a loopback address and a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
    address.ok_or_else(|| Complaint::new(format!("is no address that only this host can reach: {text:?}; {allowed}")))
}

fn recipient(text: &str) -> Result<String, Complaint> {
    match text.parse::<age::x25519::Recipient>() {
        Ok(_) => Ok(text.to_owned()),
        // Not repeated: somebody may have written the identity (the private half) instead.
        Err(_) => Err(Complaint::new(
            "holds a text that is no age recipient; one begins with \"age1\" (age-keygen -y tells it)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::test_host::Host;
    use crate::config::{AuditTarget, Mode};

    #[test]
    fn without_any_configuration_everything_has_its_default() {
        let settings = Host::new().settings();
        assert_eq!(settings.daemon.state_dir.as_os_str(), "/var/lib/tokenkeeper");
        assert_eq!(settings.daemon.socket.as_os_str(), "/run/tokenkeeper/tokenkeeper.sock");
        assert_eq!(settings.daemon.http_socket, Some("/run/tokenkeeper/http.sock".into()));
        assert_eq!(settings.daemon.identity_file.as_os_str(), "/var/lib/tokenkeeper/identity");
        assert_eq!(settings.daemon.anchor_file, None);
        assert_eq!(settings.daemon.cache_sessions, 10_000);
        assert_eq!(settings.schedule.sweep, "0 */5 * * * *");
        assert_eq!(settings.schedule.prune, "0 17 3 * * *");
        assert_eq!(settings.schedule.scrub, "0 43 4 * * Sun");
        assert_eq!(settings.schedule.retention.as_secs(), 7 * 24 * 3600);
        assert_eq!(settings.audit, AuditTarget::Local("/dev/log".into()));
        assert!(settings.providers.is_empty());
    }

    #[test]
    fn what_is_written_wins_over_the_defaults() {
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let host = Host::new().mode(Mode::User).main(&format!(
            "[daemon]\nstate_dir = '/s'\nsocket = '/s/k.sock'\nrecovery_recipients = ['{recipient}']\ncache_sessions = 5\n\
             [schedule]\nsweep = '*/10 * * * * *'\nretention = '0s'\n[audit]\ntarget = 'udp:log.example:514'\n"
        ));
        let settings = host.settings();
        assert_eq!(settings.daemon.identity_file.as_os_str(), "/s/identity", "it follows state_dir");
        assert_eq!(settings.daemon.socket.as_os_str(), "/s/k.sock");
        assert_eq!(settings.daemon.http_socket, Some("/s/http.sock".into()), "it stays beside the other one");
        assert_eq!(settings.daemon.recovery_recipients, [recipient]);
        assert_eq!(settings.daemon.cache_sessions, 5);
        assert_eq!(settings.schedule.sweep, "*/10 * * * * *");
        assert!(settings.schedule.retention.is_zero());
        assert_eq!(settings.audit, AuditTarget::Udp("log.example:514".to_owned()));
    }

    #[test]
    fn the_http_socket_can_be_elsewhere_or_nowhere() {
        let settings = |value| Host::new().main(&format!("[daemon]\nhttp_socket = '{value}'\n")).settings();
        assert_eq!(settings("/s/h.sock").daemon.http_socket, Some("/s/h.sock".into()));
        assert_eq!(settings("off").daemon.http_socket, None);
    }

    #[test]
    fn metrics_are_served_to_this_host_alone() {
        let host = |value| Host::new().main(&format!("[daemon]\nmetrics_listen = '{value}'\n"));
        assert_eq!(host("127.0.0.1:9464").settings().daemon.metrics_listen, "127.0.0.1:9464".parse().ok());
        assert_eq!(host("[::1]:9464").settings().daemon.metrics_listen, "[::1]:9464".parse().ok());
        assert_eq!(Host::new().settings().daemon.metrics_listen, None);
        for refused in ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464", "localhost:9464", "127.0.0.1", "127.0.0.1:0"] {
            let errors = host(refused).errors();
            assert!(errors.contains("metrics_listen is no address that only this host can reach"), "{errors}");
        }
    }

    #[test]
    fn a_user_without_a_runtime_directory_is_told_what_to_do() {
        let mut host = Host::new().mode(Mode::User);
        host.environment.home = Some("/home/alice".into());
        let expected = "no place for the socket: $XDG_RUNTIME_DIR is not set; \
                        log in through a session manager that sets it, or set socket in [daemon]";
        assert_eq!(host.errors(), expected);
        let settings = host.main("[daemon]\nsocket = '/tmp/k.sock'\n").settings();
        assert_eq!(settings.daemon.state_dir.as_os_str(), "/home/alice/.local/state/tokenkeeper");
    }

    #[test]
    fn a_user_without_a_home_is_told_what_to_do() {
        let mut host = Host::new().mode(Mode::User).main("");
        host.environment.xdg_runtime_dir = Some("/run/user/7".into());
        assert!(host.errors().starts_with("no place for the store: neither $XDG_STATE_HOME nor $HOME is set"));
    }

    #[test]
    fn paths_are_absolute_and_a_socket_fits() {
        let long = format!("/{}", "x".repeat(107));
        let host = Host::new().main(&format!(
            "[daemon]\nstate_dir = 'state'\nsocket = '{long}'\nidentity_file = ''\nanchor_file = 'anchor'\n"
        ));
        let expected = "tokenkeeper.toml:2:13: state_dir must be an absolute path, not \"state\"\n\
                        tokenkeeper.toml:3:10: socket is too long for a socket: Linux allows 107 bytes\n\
                        tokenkeeper.toml:4:17: identity_file must be an absolute path, not \"\"\n\
                        tokenkeeper.toml:5:15: anchor_file must be an absolute path, not \"anchor\"";
        assert_eq!(host.errors(), expected);
    }

    #[test]
    fn recipients_count_only_where_nobody_but_root_can_write_them() {
        use std::os::unix::fs::PermissionsExt;
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        for key in ["recovery_recipients", "backup_recipients"] {
            let host = Host::new().main(&format!("[daemon]\n{key} = ['{recipient}']\n"));
            let file = host.directory().join("tokenkeeper.toml");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
            let errors = host.errors();
            assert!(errors.contains(&format!("2:1: {key} counts only in a file that nobody but root")), "{errors}");
        }
    }

    #[test]
    fn a_link_to_where_others_can_put_another_file_is_no_file_for_root_alone() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let host = Host::new().file("open/keys.toml", &format!("[daemon]\nrecovery_recipients = ['{recipient}']\n"));
        let open = host.directory().join("open");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        symlink(open.join("keys.toml"), host.directory().join("tokenkeeper.toml")).unwrap();
        assert!(host.errors().contains("2:1: recovery_recipients counts only in a file"), "{}", host.errors());
    }

    #[test]
    fn keys_are_rotated_when_the_configuration_says_so_and_else_never() {
        assert_eq!(Host::new().settings().schedule.rotate_keys, None);
        let schedule =
            Host::new().main("[schedule]\nrotate_keys = '0 0 3 1 */3 *'\nreseal_rate = 10\n").settings().schedule;
        assert_eq!((schedule.rotate_keys.as_deref(), schedule.reseal_rate), (Some("0 0 3 1 */3 *"), 10));
    }

    #[test]
    fn an_identity_in_the_place_of_a_recipient_is_not_repeated() {
        let host = Host::new().main("[daemon]\nrecovery_recipients = ['AGE-SECRET-KEY-1HUNTER2']\n");
        let errors = host.errors();
        assert!(errors.contains("no age recipient") && !errors.contains("HUNTER2"), "{errors}");
    }
}
