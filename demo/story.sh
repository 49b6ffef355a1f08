# How the demo tells its steps, starts and ends its programs, and cleans up behind itself. Sourced by demo/run.

dir=$(mktemp -d /tmp/tokenkeeper-demo.XXXXXX)
steps=0
telling=
declare -A pids=()

# --- telling -----------------------------------------------------------------------------------------------------------------

# Begins a step: the first half of its line.
step() {
    steps=$((steps + 1))
    telling="$1"
    printf '%2d. %s ... ' "$steps" "$telling"
}

# Ends a step: what came of it.
detail() {
    echo "$1"
    telling=
}

indent() { sed 's/^/      /'; }

fail() {
    [ -z "$telling" ] || echo "FAILED"
    telling=
    echo "demo: step $steps failed: $1" >&2
    exit 1
}

same() {
    [ "$1" = "$2" ] || fail "expected \"$1\", got \"$2\""
}

conclude() {
    clean_up
    trap - EXIT
    echo "demo: $steps steps passed"
}

# --- programs ----------------------------------------------------------------------------------------------------------------

# start NAME COMMAND...: in the background, with its output in $dir/NAME.out and $dir/NAME.log.
start() {
    local name=$1
    shift
    "$@" <"$dir/alive" >"$dir/$name.out" 2>>"$dir/$name.log" 9>&- &
    pids[$name]=$!
}

is_running() { kill -0 "${pids[$1]}" 2>/dev/null; }

# The first line that NAME prints.
first_line() {
    wait_for "the $1" test -s "$dir/$1.out"
    head -n1 "$dir/$1.out"
}

# wait_for WHAT COMMAND...: until the command succeeds, for at most 30 seconds.
wait_for() {
    local what=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail "waited 30 seconds for $what"
        sleep 0.1
    done
}

copy_provider() {
    mkdir "$dir/provider"
    cp -r tests/provider/. "$dir/provider"
    [ -d "$dir/provider/node_modules/oidc-provider" ] || npm ci --silent --no-audit --no-fund --prefix "$dir/provider"
}

# over_http PATH CURL-OPTION...: asks the daemon at its HTTP socket.
over_http() {
    local path=$1
    shift
    curl --silent --show-error --unix-socket "$dir/run/http.sock" "http://localhost$path" "$@"
}

# A member of the JSON object on standard input.
member() { node -e 'console.log(JSON.parse(require("fs").readFileSync(0))[process.argv[1]])' "$1"; }

ask() { node demo/ask.mjs "$1" "$issuer"; }

# --- the daemon --------------------------------------------------------------------------------------------------------------

configure() {
    mkdir -m 700 "$dir/state"
    mkdir "$dir/run"
    (umask 077 && printf 'shop-secret-PCtkfPSzVYBU' >"$dir/corp.secret")
    cat >"$dir/tokenkeeper.toml" <<EOF
[daemon]
state_dir = "$dir/state"
socket = "$TOKENKEEPER_SOCKET"
identity_file = "$dir/identity"

[audit]
target = "$2"

[provider.corp]
issuer = "$1"
client_id = "shop"
client_secret = { file = "$dir/corp.secret" }
redirect_uris = ["loopback"]

[provider.jobs]
issuer = "$1"
client_id = "jobs"
client_secret = { file = "$dir/corp.secret" }

[service_account.nightly]
provider = "jobs"
scopes = ["reports"]

[[allow]]
who = "user:$(id -u)"
may = ["login", "token", "list", "logout", "history", "status"]
provider = "corp"

[[allow]]
who = "user:$(id -u)"
may = ["token", "list"]
account = "nightly"
EOF
}

start_daemon() {
    start daemon tokenkeeperd --config "$dir/tokenkeeper.toml"
    wait_for "the daemon to be ready" daemon_answers_or_died
    is_running daemon || fail "the daemon ended: $(tail -n5 "$dir/daemon.log")"
}

daemon_answers_or_died() {
    ! is_running daemon || tokenkeeper status
}

kill_daemon() {
    kill -KILL "${pids[daemon]}"
    wait "${pids[daemon]}" 2>/dev/null || true
}

stop_daemon() {
    kill -TERM "${pids[daemon]}"
    wait "${pids[daemon]}" || fail "the daemon did not end well: $(tail -n5 "$dir/daemon.log")"
    unset 'pids[daemon]'
}

# Logs a user in at the page that `tokenkeeper login` asks to open; sets `session`.
log_in() {
    start login tokenkeeper --json login corp --no-browser
    wait_for "the address to open" login_asks_or_died
    is_running login || fail "the login ended early: $(tail -n3 "$dir/login.log")"
    node tests/provider/browser.mjs "$(grep -o 'https\?://[^ ]*state=[^ ]*' "$dir/login.log" | head -n1)" "$1" >/dev/null \
        || fail "the login page did not lead back"
    wait "${pids[login]}" || fail "the login did not succeed: $(tail -n3 "$dir/login.log")"
    unset 'pids[login]'
    session=$(node -e 'console.log(JSON.parse(require("fs").readFileSync(0)).session)' <"$dir/login.out")
}

login_asks_or_died() {
    ! is_running login || grep -q 'https\?://[^ ]*state=' "$dir/login.log"
}

audit_has() { grep -q "$1" "$dir/audit.log"; }

# --- the end -----------------------------------------------------------------------------------------------------------------

clean_up() {
    local name
    for name in "${!pids[@]}"; do
        kill -KILL "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || true
    done
    pids=()
    rm -rf "$dir"
}

on_exit() {
    local status=$?
    # A command that failed outside of `fail` has said why on stderr.
    if [ $status != 0 ] && [ -n "$telling" ]; then
        echo "FAILED"
        echo "demo: step $steps failed: $telling" >&2
    fi
    if [ $status != 0 ] && [ -s "$dir/daemon.log" ]; then
        echo "demo: the last words of the daemon:" >&2
        tail -n 20 "$dir/daemon.log" | indent >&2
    fi
    clean_up
    exit $status
}
trap on_exit EXIT
trap 'exit 130' INT TERM

# Standard input of the programs: it ends with the demo, and with it the provider.
mkfifo "$dir/alive"
exec 9<>"$dir/alive"
