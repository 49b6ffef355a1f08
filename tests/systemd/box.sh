# A throw-away Debian with systemd as PID 1, by systemd-nspawn. Sourced by tests/systemd/run.
#
# It leaves nothing behind: the tree that it boots is read-only below a file system in memory, and every mount is in a mount
# namespace of our own. PID 1 of this machine need not be systemd, and its network is not touched: the box has loopback alone.

box_name=tokenkeeper-test-$$
box_group=/sys/fs/cgroup/$box_name
box_packages=systemd,systemd-sysv,dbus,libnss-systemd,libpam-systemd,procps,ca-certificates

# Prints the path of a Debian (or Ubuntu) tree as old as this machine, so that programs built here run there. It is made once.
box_tree() {
    local cache=$1 suite origin sources tree
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    origin=$(. /etc/os-release && echo "${NAME%% *}")
    sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' "Origin: $origin" \
        | awk -v suite="$suite" '$3 == suite || index($3, suite "-") == 1' | sort -u)
    [ -n "$sources" ] || give_up "apt does not know where $origin \"$suite\" comes from; run: apt-get update"
    tree=$cache/$suite-$(sha256sum <<<"$box_packages $sources" | cut -c1-12)
    mkdir -p "$cache"
    exec 8>"$tree.lock"
    flock 8
    if [ ! -d "$tree" ]; then
        say "making a $suite system below $cache; this takes a minute, once"
        rm -rf --one-file-system "$tree.part"
        # The mirrors of this machine, by its own way to them.
        mmdebstrap --quiet --variant=minbase --include="$box_packages" \
            --aptopt=<(apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries)') \
            "$suite" "$tree.part" - <<<"$sources" >&2 || give_up "the system could not be made"
        rm -f "$tree.part"/etc/{hostname,resolv.conf}
        mv "$tree.part" "$tree"
    fi
    exec 8>&-
    echo "$tree"
}

# box_boot TREE LOG NSPAWN_OPTION...: returns when systemd in there has started everything.
box_boot() {
    local tree=$1 log=$2 tries=0 state=
    shift 2
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir "$box_group"
    (
        echo "$BASHPID" >"$box_group/cgroup.procs"
        mkdir -p /run/systemd/nspawn
        mount -t tmpfs tmpfs /run/systemd/nspawn
        exec setsid systemd-nspawn --quiet --boot --directory="$tree" --volatile=overlay \
            --machine="$box_name" --hostname=box --private-network --resolv-conf=off --timezone=off --link-journal=no \
            --register=no --keep-unit "$@"
    ) </dev/null >"$log" 2>&1 &
    box_nspawn=$!
    # Should this script be killed, so is the box. If it ends as it should, there is none any more.
    (tail --pid=$$ --follow /dev/null; echo 1 >"$box_group/cgroup.kill") </dev/null >/dev/null 2>&1 &
    until [ "$state" = running ] || [ "$state" = degraded ]; do
        tries=$((tries + 1))
        kill -0 "$box_nspawn" 2>/dev/null && [ $tries -lt 300 ] || give_up "the box does not boot: $(tail -n 20 "$log")"
        sleep 0.2
        [ -n "${box_init-}" ] || box_init=$(box_find_init) || continue
        state=$(box systemctl is-system-running --wait 2>/dev/null) || true
    done
}

# The process that is number 1 in the box, by its number here.
box_find_init() {
    local pid
    for pid in $(cat "$box_group"/payload{,/init.scope}/cgroup.procs 2>/dev/null); do
        awk '/^NSpid:/ { exit !(NF > 2 && $NF == 1) }' "/proc/$pid/status" 2>/dev/null && echo "$pid" && return
    done
    return 1
}

# box COMMAND...: runs it as root in the box, in no unit.
box() {
    (
        mkdir -p "$box_group/payload/tests"
        echo "$BASHPID" >"$box_group/payload/tests/cgroup.procs"
        # nsenter must live until the command is gone, or nobody waits for it: so it is out of reach of a Ctrl-C.
        exec setsid --wait nsenter --target "$box_init" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
            env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
    )
}

# box_network COMMAND...: runs a program of this machine on the loopback network of the box.
box_network() { nsenter --target "$box_init" --net -- "$@"; }

# Kills everything in the box: first what was sent in, while its nsenter waits for it, then its PID 1, and with that the rest.
box_end() {
    [ -d "$box_group" ] || return 0
    xargs -r kill -KILL <"$box_group/payload/tests/cgroup.procs" 2>/dev/null || true
    [ -z "${box_init-}" ] || kill -KILL "$box_init" 2>/dev/null || true
    wait "$box_nspawn" 2>/dev/null || true
    echo 1 >"$box_group/cgroup.kill"
    until [ "$(grep populated "$box_group/cgroup.events")" = "populated 0" ]; do sleep 0.1; done
    find "$box_group" -depth -type d -exec rmdir {} +
}
