//! Faults of this machine: its sockets, files, rules and configuration.

use tokenkeeper_protocol::Code;

use super::super::local::{self, Seen};
use super::super::row::{End, Entry, How, Row, When, gives_up, login_required, refused};

/// `EX_IOERR`, `EX_TEMPFAIL` and `EX_CONFIG` of sysexits.
const INPUT_OUTPUT: i32 = 74;
const TRY_LATER: i32 = 75;
const CONFIGURATION: i32 = 78;

const LOCKED: &str = "the daemon cannot open its keys: nothing is served until an administrator has seen to it; `tokenkeeper status` tells more";

pub(super) fn entries() -> Vec<Entry> {
    let mut all = requests();
    all.extend(files());
    all
}

fn row(what: &'static str, happens: fn() -> Seen, end: End) -> Row {
    Row::new(what, When::Here, How::Here(happens), end)
}

fn as_root(what: &'static str, happens: fn() -> Seen, end: End) -> Row {
    Row::new(what, When::AsRoot, How::Here(happens), end)
}

/// What a program hears that asks for something.
fn requests() -> Vec<Entry> {
    vec![
        Entry {
            name: "The daemon is not there",
            means: "Nobody listens at the socket.",
            next: "Start the daemon. If it runs, look whether `socket` in its configuration and `$TOKENKEEPER_SOCKET` say the same.",
            rows: vec![
                row(
                    "it was never started",
                    local::no_daemon,
                    gives_up(
                        69,
                        "cannot reach the daemon at {home}/run/socket: No such file or directory (os error 2); \
                         see whether it runs: systemctl status tokenkeeperd, or start your own: tokenkeeperd --user",
                    ),
                ),
                row(
                    "it was killed",
                    local::killed_daemon,
                    gives_up(
                        69,
                        "cannot reach the daemon at {home}/run/socket: Connection refused (os error 111); \
                         see whether it runs: systemctl status tokenkeeperd, or start your own: tokenkeeperd --user",
                    ),
                ),
            ],
        },
        Entry {
            name: "The socket may not be opened",
            means: "The mode of the socket, or of its directory, keeps this user out before any rule is looked at.",
            next: "Ask an administrator; `SocketMode=` of the socket unit says who may open it.",
            rows: vec![as_root(
                "mode 0600",
                local::closed_socket,
                gives_up(77, "not allowed to open {home}/run/socket; ask an administrator for access to this socket"),
            )],
        },
        Entry {
            name: "No rule allows it",
            means: "No `[[allow]]` lets this user, or the unit it runs in, do this anywhere.",
            next: "Give the audit reference to an administrator, who finds with it what was refused to whom, and may add a rule.",
            rows: vec![
                row(
                    "no rule at all",
                    local::no_rule,
                    refused(
                        Code::Denied,
                        "refused: ",
                        "{me} has no rule for \"token\" on provider corp, or it does not exist.\n\
                         Ask an administrator to run:\n  \
                         sudo tokenkeeper policy explain {as} token --provider corp\n\
                         audit reference: {reference}",
                    ),
                )
                .audits("denied", &[("action", "token"), ("target", "corp"), ("count", "1")]),
            ],
        },
        Entry {
            name: "No such provider",
            means: "The configuration has no provider of this name, or no rule lets this user use it.",
            next: "Use one of those that are named.",
            rows: vec![row(
                "a slip of the pen",
                local::unknown_provider,
                refused(
                    Code::NotFound,
                    "not found: ",
                    "there is no provider crop that {me} may use for \"token\"; available: corp",
                ),
            )],
        },
        Entry {
            name: "No such session",
            means: "Nobody is logged in there, or the session is over, or it is not among those this user may use.",
            next: "Log in, or name another session.",
            rows: vec![
                row(
                    "nobody logged in",
                    local::no_session,
                    refused(
                        Code::NotFound,
                        "not found: ",
                        "there is no session at corp that you may use; run `tokenkeeper login corp`",
                    ),
                ),
                row(
                    "an unknown reference",
                    local::unknown_session,
                    refused(
                        Code::NotFound,
                        "not found: ",
                        "there is no session 0000aaaa among those that {me} may use for \"logout\"; \
                         `tokenkeeper sessions` lists them",
                    ),
                ),
            ],
        },
        Entry {
            name: "Several sessions match",
            means: "Which of them is meant cannot be known.",
            next: "Name one with `--session` or `--user`.",
            rows: vec![row(
                "two logins",
                local::several_sessions,
                refused(
                    Code::Ambiguous,
                    "ambiguous: ",
                    "several sessions at corp match: {a} (\"alice\"), {b} (\"alice\"); choose one with --session or --user\n\
                     They are listed by:\n  tokenkeeper sessions",
                ),
            )],
        },
        Entry {
            name: "No token lives that long",
            means: "The provider's tokens do not live for as long as `--min-valid` asks, however new they are.",
            next: "Ask for less.",
            rows: vec![row(
                "two hours of tokens that live one",
                local::too_long_a_life,
                refused(
                    Code::LifetimeTooShort,
                    "lifetime too short: ",
                    "access tokens of corp live 3600 s; ask for fewer seconds of validity than that",
                ),
            )],
        },
        Entry {
            name: "The session is too old",
            means: "The session reached `max_age`.",
            next: "Log in again; with `--replaces` the session keeps its reference.",
            rows: vec![row(
                "max_age is past",
                local::too_old_a_session,
                login_required("the session reached its greatest age"),
            )],
        },
        Entry {
            name: "The provider was taken out of the configuration",
            means: "The session is still there, and nothing says any more where it can be refreshed.",
            next: "Put the provider back, or end the session.",
            rows: vec![row(
                "taken out by a reload",
                local::removed_provider,
                refused(
                    Code::Misconfigured,
                    "misconfigured: ",
                    "provider corp is not in the configuration any more; \
                     an administrator has to restore it, or end the session",
                ),
            )],
        },
    ]
}

/// What the daemon says that does not start, or does not take its new configuration.
fn files() -> Vec<Entry> {
    vec![
        Entry {
            name: "The configuration is wrong",
            means: "Something in a file is not understood. A daemon that runs keeps its old configuration; one that starts does not start.",
            next: "Correct what is named by file, line and column; `tokenkeeperd --check-config` tries it.",
            rows: vec![
                row(
                    "an unknown key, at the start",
                    local::unknown_key,
                    gives_up(
                        CONFIGURATION,
                        "corp.toml:{line}:1: unknown key \"clientid\"; did you mean \"client_id\"?",
                    ),
                ),
                row(
                    "an unknown key, at a reload: `tokenkeeper status` says",
                    local::refused_reload,
                    gives_up(
                        1,
                        "reload REFUSED: corp.toml:{line}:1: unknown key \"clientid\"; \
                         did you mean \"client_id\"?",
                    ),
                )
                .audits("config_refused", &[("why", "corp.toml:…")]),
            ],
        },
        Entry {
            name: "The client secret cannot be used",
            means: "The file with the secret is not there, is empty, or others can read it.",
            next: "Do what the sentence says. A secret that others could read is better replaced at the provider.",
            rows: vec![
                secret(
                    "missing",
                    local::secret_missing,
                    "does not exist; create it with: install -D -m 600 {more}/dev/stdin {home}/config/secret",
                ),
                secret(
                    "mode 0644",
                    local::secret_open,
                    "is open to others (mode 0644); run: chmod 600 {home}/config/secret",
                ),
                secret("empty", local::secret_empty, "is empty; write the client secret into it"),
            ],
        },
        Entry {
            name: "The authority's certificate cannot be used",
            means: "The file that `ca_file` names is not there, or holds no certificate in PEM form.",
            next: "Correct the path, or put the certificate there, from `-----BEGIN CERTIFICATE-----` to its end.",
            rows: vec![
                row(
                    "missing",
                    local::authority_missing,
                    gives_up(
                        CONFIGURATION,
                        "corp.toml:{line}:{column}: ca_file cannot be read: /nonexistent/ca.pem: \
                         No such file or directory (os error 2); correct the path, or let the daemon's user read it",
                    ),
                ),
                row(
                    "something else",
                    local::authority_malformed,
                    gives_up(CONFIGURATION, "ca_file {home}/config/ca.pem holds no certificate in PEM form"),
                ),
            ],
        },
        Entry {
            name: "The state directory is not the daemon's alone",
            means: "Others may enter the directory with the store and its keys, or it belongs to somebody else.",
            next: "Run the commands of the sentence, and find out how it came to be so.",
            rows: vec![
                row(
                    "mode 0755",
                    local::state_open,
                    gives_up(
                        CONFIGURATION,
                        "the state directory {home}/state is not the daemon's alone (owner uid {uid}, mode 0755); \
                         run: chown {uid} {home}/state; chmod 700 {home}/state",
                    ),
                ),
                as_root(
                    "another owner",
                    local::state_of_another,
                    gives_up(
                        CONFIGURATION,
                        "the state directory {home}/state is not the daemon's alone (owner uid 54321, mode 0700); \
                         run: chown 0 {home}/state; chmod 700 {home}/state",
                    ),
                ),
            ],
        },
        Entry {
            name: "The state directory cannot be written",
            means: "Its file system is mounted read-only, or has no room left.",
            next: "Mount it writable or make room, then start the daemon. A file system that turned read-only by itself is mostly a broken disk.",
            rows: vec![
                as_root(
                    "read-only",
                    local::state_read_only,
                    gives_up(
                        INPUT_OUTPUT,
                        "the state directory {home}/state cannot be used: Read-only file system (os error 30); \
                         mount its file system writable, or set another state_dir",
                    ),
                ),
                as_root(
                    "full",
                    local::state_full,
                    gives_up(
                        INPUT_OUTPUT,
                        "the state directory {home}/state cannot be used: No space left on device (os error 28); \
                         make room on its file system",
                    ),
                ),
            ],
        },
        Entry {
            name: "Another daemon is there",
            means: "Another tokenkeeperd has the store open, or listens on the socket.",
            next: "Stop one of them; or give each its own `state_dir` and `socket`.",
            rows: vec![
                row(
                    "the same store",
                    local::store_locked,
                    gives_up(
                        TRY_LATER,
                        "the store {home}/state/store is in use by another process; \
                         stop the other tokenkeeperd, or set another state_dir",
                    ),
                ),
                row(
                    "the same socket",
                    local::socket_in_use,
                    gives_up(
                        TRY_LATER,
                        "{home}/run/socket is in use: another daemon listens there; stop it, or set `socket` in [daemon]",
                    ),
                ),
            ],
        },
        Entry {
            name: "The keys cannot be opened",
            means: "There is a store, and what opens it is gone or does not fit: the identity of the host, or the keyring. The daemon runs, and serves \
                    nothing.",
            next: "`tokenkeeper status` tells what is wrong. Put back what is missing and run `systemctl reload tokenkeeperd`; or run `sudo tokenkeeper \
                   keys recover` with the identity of a recovery recipient. See guide/keys.md.",
            rows: vec![
                row(
                    "the identity is missing",
                    local::identity_missing,
                    refused(Code::Misconfigured, "misconfigured: ", LOCKED),
                ),
                row(
                    "the keyring is missing",
                    local::keyring_missing,
                    refused(Code::Misconfigured, "misconfigured: ", LOCKED),
                ),
            ],
        },
    ]
}

fn secret(what: &'static str, happens: fn() -> Seen, why: &str) -> Row {
    let sentence = format!("corp.toml:{{line}}:{{column}}: {{home}}/config/secret {why}");
    row(what, happens, gives_up(CONFIGURATION, &sentence))
}
