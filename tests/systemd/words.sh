# What story.sh does in the box, by short names. Sourced by tests/systemd/run.

# --- who asks ----------------------------------------------------------------------------------------------------------------

# as_unit NAME COMMAND...: the user "shop", in a service of the system.
as_unit() { box systemd-run --quiet --collect --pipe --wait --unit="$1" --uid=shop "${@:2}"; }

# as_user COMMAND...: the same user, in no service.
as_user() { box setpriv --reuid=shop --regid=shop --clear-groups "$@"; }

# as_user_unit NAME COMMAND...: in a service of that user's own manager, where users choose the names. Tells what it said.
as_user_unit() {
    local uid
    uid=$(box id -u shop)
    box systemctl start "user@$uid"
    as_user env "XDG_RUNTIME_DIR=/run/user/$uid" systemd-run --user --quiet --unit="$1" --property=Type=oneshot \
        --property=StandardError=file:/tmp/said "${@:2}" || true
    box cat /tmp/said
}

# as_it_sees COMMAND...: root, with the files that the daemon has.
as_it_sees() { box nsenter --target "$(main_pid)" --mount -- "$@"; }

exit_status() { "$@" || echo "exit $?"; }

# exit_code COMMAND...: that alone.
exit_code() {
    local code=0
    "$@" >/dev/null 2>&1 || code=$?
    echo $code
}

# both COMMAND COMMAND: what two commands say, and how each ends.
both() {
    # shellcheck disable=SC2086 # each is a command with its arguments
    exit_status $1
    # shellcheck disable=SC2086
    exit_status $2
}

seconds_of() {
    local begin=$SECONDS
    "$@"
    echo "$((SECONDS - begin)) seconds"
}

# words_of COMMAND...: what it says, with single blanks.
words_of() { "$@" | tr -s '[:space:]' ' '; }

# More often than systemd lets a service be started in a row.
restart() {
    box systemctl reset-failed tokenkeeperd
    box systemctl restart tokenkeeperd
}

after_restart() {
    restart
    "$@"
}

# --- what systemd knows ------------------------------------------------------------------------------------------------------

shows() { box systemctl show tokenkeeperd --property="$1" --value; }
main_pid() { shows MainPID; }
of_process() { box cat "/proc/$(main_pid)/$1"; }

# policy_of NAME: each thread of this name with its scheduling policy, the 41st field of its stat (proc(5), sched(7)): 3 is SCHED_BATCH.
policy_of() { box sh -c "sed -nE 's/^[0-9]+ .($1). ([^ ]+ ){38}([0-9]+) .*/\\1 \\3/p' /proc/$(main_pid)/task/*/stat"; }
seconds_fed() { echo $((($(shows WatchdogTimestampMonotonic) - $(shows ExecMainStartTimestampMonotonic)) / 1000000)); }

last_words() { box journalctl --unit=tokenkeeperd --lines="$1" --output=cat; }
audit() { box journalctl SYSLOG_FACILITY=10 SYSLOG_IDENTIFIER=tokenkeeperd _TRANSPORT=syslog --unit=tokenkeeperd --output=cat; }
leaked() { box journalctl --output=export | grep --count --fixed-strings --file="$dir/token" --regexp=shop-secret; }

# --- what administrators do --------------------------------------------------------------------------------------------------

write() { box sh -c 'cat >"$1"' sh "$1"; }

# drop_in NAME <TEXT: as systemctl edit would.
drop_in() {
    box mkdir -p /etc/systemd/system/tokenkeeperd.service.d
    write "/etc/systemd/system/tokenkeeperd.service.d/$1.conf"
    box systemctl daemon-reload
}

# encrypt NAME FILE: makes the credential of that name, in place of the file.
encrypt() {
    box mkdir -p -m 700 /etc/credstore.encrypted
    box systemd-creds encrypt --with-key=host --name="$1" "$2" "/etc/credstore.encrypted/$1" 2>"$dir/encrypt.log"
    box rm "$2"
}

# fetch FILE: out of the box, to look at it with what this machine has.
fetch() { box cat "$1" >"$dir/$(basename "$1")"; }

# The files that the daemon and systemd keep, but not those of the store.
daemons_files() { box find /var/lib/tokenkeeper /etc/credstore.encrypted -path /var/lib/tokenkeeper/store -prune -o -type f -print; }

# opened_by IDENTITY FILE...: tells which of the files an identity opens.
opened_by() {
    local file
    for file in "${@:2}"; do
        ! box cat "$file" | age --decrypt --identity "$1" >/dev/null 2>&1 || echo "$file"
    done
}

# --- the provider ------------------------------------------------------------------------------------------------------------

# A program of this machine, on the network of the box. It ends when its standard input does: when descriptor 9 is closed.
start_provider() {
    mkfifo "$dir/alive"
    exec 9<>"$dir/alive"
    box_network node tests/provider/server.mjs --access-life 600 --rotate \
        <"$dir/alive" >"$dir/provider" 2>"$dir/provider.log" 9>&- &
    provider_pid=$!
    until [ -s "$dir/provider" ]; do
        kill -0 $provider_pid 2>/dev/null || give_up "the provider does not start: $(cat "$dir/provider.log")"
        sleep 0.1
    done
    issuer=$(cut -d' ' -f2 "$dir/provider")
}

# "shop.service" logs alice in. Tells what the command line says.
log_in() {
    local url login tries=0
    as_unit shop tokenkeeper login corp --no-browser >"$dir/login" 2>&1 &
    login=$!
    until url=$(grep -o 'http://[^ ]*state=[^ ]*' "$dir/login") || [ $tries = 100 ] || ! kill -0 $login 2>/dev/null; do
        tries=$((tries + 1))
        sleep 0.1
    done
    [ -z "$url" ] || box_network node tests/provider/browser.mjs "$url" alice >/dev/null || kill_login
    wait $login || true
    cat "$dir/login"
}
kill_login() { box systemctl kill --signal=KILL shop; }

# Whose token "shop.service" gets, by the word of the provider.
token_of() { as_unit shop tokenkeeper token corp | tee "$dir/token" | box_network node demo/ask.mjs userinfo "$issuer"; }
