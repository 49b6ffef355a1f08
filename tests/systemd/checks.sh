# How a check is told: one line each, and a count at the end. Sourced by tests/systemd/run.

passed=0
failed=0

# expect NAME PATTERN COMMAND...: all that the command says, in one line, matches the extended regular expression.
expect() {
    local name=$1 pattern=$2 output
    shift 2
    output=$("$@" 2>&1) || true
    judge "$name" "$pattern" "$output"
}

# eventually NAME PATTERN COMMAND...: the same, as soon as it is so, within 20 seconds.
eventually() {
    local name=$1 pattern=$2 output end=$((SECONDS + 20))
    shift 2
    until output=$("$@" 2>&1) || true; matches "$output" "$pattern" || [ $SECONDS -ge $end ]; do sleep 0.2; done
    judge "$name" "$pattern" "$output"
}

matches() { [[ ${1//$'\n'/ } =~ $2 ]]; }

judge() {
    if matches "$3" "$2"; then
        passed=$((passed + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: wanted $2, got: ${3:-nothing}"
    fi
}

conclude() {
    if [ $failed != 0 ]; then
        echo 'The last words of the daemon:'
        box journalctl -u tokenkeeperd -n 40 --no-pager | sed 's/^/    /'
    fi
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}
