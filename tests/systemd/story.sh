# What is checked, in the order in which things happen to a daemon. Sourced by tests/systemd/run.

# --- words of the story ------------------------------------------------------------------------------------------------------

# as_unit NAME COMMAND...: the user "shop" runs it in a system service.
as_unit() { box systemd-run --quiet --collect --pipe --wait --unit="$1" --uid=shop "${@:2}"; }
as_user() { box setpriv --reuid=shop --regid=shop --clear-groups "$@"; }
# The same by the user's own service manager, where users choose the names of units.
as_user_unit() {
    local runtime=XDG_RUNTIME_DIR=/run/user/$(box id -u shop)
    box systemctl start "user@$(box id -u shop)"
    as_user env "$runtime" systemd-run --user --quiet --unit="$1" --property=Type=oneshot \
        --property=StandardError=file:/tmp/said "${@:2}" || true
    box cat /tmp/said
}
exit_status() { "$@" || echo "exit $?"; }
shows() { box systemctl show tokenkeeperd --property="$1" --value; }
main_pid() { shows MainPID; }
of_process() { box cat "/proc/$(main_pid)/$1"; }
write() { box sh -c 'cat >"$1"' sh "$1"; }
drop_in() { box mkdir -p /etc/systemd/system/tokenkeeperd.service.d; write "/etc/systemd/system/tokenkeeperd.service.d/$1.conf"; box systemctl daemon-reload; }
audit() { box journalctl SYSLOG_FACILITY=10 SYSLOG_IDENTIFIER=tokenkeeperd --output=cat --no-pager; }

start_provider() {
    mkfifo "$dir/alive"
    exec 9<>"$dir/alive"
    box_network node tests/provider/server.mjs --access-life 600 --rotate <"$dir/alive" >"$dir/provider.out" 2>"$dir/provider.log" &
    provider_pid=$!
    until [ -s "$dir/provider.out" ]; do
        kill -0 $provider_pid 2>/dev/null || give_up "the provider does not start: $(cat "$dir/provider.log")"
        sleep 0.1
    done
    issuer=$(cut -d' ' -f2 "$dir/provider.out")
}

log_in() {
    local url tries=0
    as_unit shop tokenkeeper login corp --no-browser >"$dir/login" 2>&1 &
    until url=$(grep -o 'http://[^ ]*state=[^ ]*' "$dir/login") || [ $tries = 100 ]; do tries=$((tries + 1)); sleep 0.1; done
    box_network node tests/provider/browser.mjs "${url%$'\r'}" alice >/dev/null
    wait $!
    cat "$dir/login"
}

# Whose token "shop.service" gets, by the word of the provider.
token_of() { as_unit shop tokenkeeper token corp | tee "$dir/token" | box_network node demo/ask.mjs userinfo "$issuer"; }

# --- a host without a configuration ------------------------------------------------------------------------------------------

box systemd-sysusers
box useradd --create-home shop
box install -d /etc/tokenkeeper/conf.d /etc/tokenkeeper/secrets
start_provider

box systemctl enable --quiet --now tokenkeeperd.socket
expect 'before anybody asks there is only the socket' '^active inactive$' box systemctl is-active tokenkeeperd.socket tokenkeeperd
expect 'the socket is root'\''s and everybody may connect' '^root 755 root 666$' \
    box stat -c '%U %a' /run/tokenkeeper /run/tokenkeeper/tokenkeeper.sock
expect 'a connection starts the daemon, and root sees its status' 'tokenkeeper .*none configured' box tokenkeeper status
expect 'it is ready without a provider' '^notify active running$' \
    box systemctl show tokenkeeperd --value --property=Type,ActiveState,SubState
expect 'systemctl status says how it is doing' 'Status: "no provider configured; 0 sessions active' box systemctl status tokenkeeperd
