# What is checked, in the order in which things happen to a daemon. Sourced by tests/systemd/run.

# --- a host without a configuration ------------------------------------------------------------------------------------------

box systemd-sysusers
box useradd --create-home shop
box install -d /etc/tokenkeeper/conf.d /etc/tokenkeeper/secrets
start_provider

expect 'systemd understands every line of the units' '^$' box systemd-analyze verify tokenkeeperd.service tokenkeeperd-setup.service tokenkeeperd.socket \
    tokenkeeperd-http.socket
box systemctl enable --quiet tokenkeeperd
expect 'who enables the service enables its sockets' '^enabled enabled enabled$' \
    box systemctl is-enabled tokenkeeperd tokenkeeperd.socket tokenkeeperd-http.socket
box systemctl start tokenkeeperd.socket
expect 'before anybody asks there is only the socket' '^active inactive$' \
    box systemctl is-active tokenkeeperd.socket tokenkeeperd
expect 'the socket is root'\''s and everybody may connect' '^root 755 root 666$' \
    box stat -c '%U %a' /run/tokenkeeper /run/tokenkeeper/tokenkeeper.sock
expect 'a connection starts the daemon, and root sees its status' 'tokenkeeper .*none configured' box tokenkeeper status
expect '... which has the HTTP socket too' '^running root 666$' \
    box sh -c 'echo $(systemctl show tokenkeeperd-http.socket --value --property=SubState) $(stat -c "%U %a" /run/tokenkeeper/http.sock)'
expect 'the host has made an identity of its own, sealed with its key' 'keys +systemd credential \(host key\), epoch 1' box tokenkeeper status
expect '... which lies in no file' 'No such file' box ls /var/lib/tokenkeeper/identity
expect '... and is made only once' '^the identity is there: systemd credential \(host key\)$' box tokenkeeperd setup
expect 'it is ready without a provider' '^notify active running$' \
    box systemctl show tokenkeeperd --value --property=Type,ActiveState,SubState
expect 'systemctl status says how it is doing' 'Status: "no provider configured; 0 sessions active' \
    box systemctl status tokenkeeperd

# --- the sandbox -------------------------------------------------------------------------------------------------------------

expect 'the store is the daemon'\''s alone' '^tokenkeeper 700$' box stat -c '%U %a' /var/lib/tokenkeeper
expect '... and so is everything in it' '^$' box find /var/lib/tokenkeeper ! -user tokenkeeper -o -type f -perm /077
expect 'it runs without privileges, its system calls filtered' 'Uid:\s([1-9][0-9]*\s){4}.*CapBnd:\s0+ .*NoNewPrivs:\s1 Seccomp:\s2 ' \
    \
    of_process status
expect 'those of its threads that refresh interrupt nobody' '^(work 3 ?)+$' policy_of work
expect '... while those that serve may' '^(tokio-rt-worker 0 ?)+$' policy_of tokio-rt-worker
expect 'it leaves no core' 'Max core file size +0 +0 ' of_process limits
expect '... and nobody may look into its memory, not even its own user' '^root$' box stat -c %U "/proc/$(main_pid)/mem"
expect 'the rest of the system is read-only for it' 'Read-only file system' as_it_sees touch /etc/tokenkeeper/x
expect '... or out of its sight' 'home: 0 .*/proc/meminfo.: No such file' \
    as_it_sees sh -c 'echo home: $(ls /home | wc -l); ls /proc/meminfo'
expect 'systemd finds little to complain about' 'Overall exposure level for tokenkeeperd.service: [01]\.[0-9]' \
    box systemd-analyze security --no-pager tokenkeeperd

# --- a provider, and a service that may use it -------------------------------------------------------------------------------

printf 'shop-secret-PCtkfPSzVYBU' | write /etc/tokenkeeper/secrets/corp
box chmod 600 /etc/tokenkeeper/secrets/corp
box chown tokenkeeper /etc/tokenkeeper/secrets/corp
write /etc/tokenkeeper/conf.d/corp.toml <<END
[provider.corp]
issuer = "$issuer"
client_id = "shop"
client_secret = { file = "corp" }
redirect_uris = ["loopback"]

[[allow]]
who = "unit:shop.service"
may = ["login", "token"]
provider = "corp"
END
expect 'a reload is quiet' '^$' box systemctl reload tokenkeeperd
eventually '... and puts the new configuration in force' '^1 provider; 0 sessions active' shows StatusText

expect 'the service of the rule logs alice in' 'Logged in to corp as alice' log_in
expect '... and its token is hers, says the provider' '^alice$' token_of
refused='tokenkeeper: refused: .*exit 77'
expect 'another service of the same user gets none' "$refused" exit_status as_unit other tokenkeeper token corp
expect '... nor one whose name ends like that of the rule' "$refused" exit_status as_unit workshop tokenkeeper token corp
expect '... nor the user outside of any service' "$refused" exit_status as_user tokenkeeper token corp
expect '... nor a unit of that name by the user'\''s own manager' 'tokenkeeper: refused: uid ' \
    as_user_unit shop tokenkeeper token corp
expect '... nor root' "$refused" exit_status box tokenkeeper token corp

# --- why not, and whose session it is ----------------------------------------------------------------------------------------

alices=$(box tokenkeeper --json sessions | grep -o '"session":"[^"]*"' | cut -d'"' -f4)
expect 'who is refused is told what an administrator can run' \
    'sudo tokenkeeper policy explain --as-unit other.service token --provider corp audit reference: r-' \
    as_unit other tokenkeeper token corp
expect '... and that says which rule is missing' \
    'refused: other.service may not .*unit:shop.service .*is about another service.*who = "unit:other.service".*exit 77' \
    exit_status box tokenkeeper policy explain --as-unit other.service token --provider corp
expect 'a service is told who it is' 'user +shop .*unit +shop.service .*unit:shop.service +login, token +own at corp' \
    as_unit shop tokenkeeper whoami
expect '... and only root what others may do' "$refused" \
    exit_status as_unit shop tokenkeeper policy explain --as-unit other.service token

write /etc/tokenkeeper/conf.d/other.toml <<<$'[[allow]]\nwho = "unit:other.service"\nmay = ["login", "token", "list"]\nprovider = "corp"'
box systemctl reload tokenkeeperd
eventually 'another service may have sessions of its own' '^0$' \
    exit_code box tokenkeeper policy explain --as-unit other.service token --provider corp
expect '... and sees none of those of the first' '"sessions":\[\]' as_unit other tokenkeeper --json sessions
expect '... nor gets a token of them, by name or without' 'not found: .*exit 4.*not found: .*exit 4' \
    both "as_unit other tokenkeeper token --session $alices" 'as_unit other tokenkeeper token corp'
expect '... which the explanation knows' "its own sessions, and this one is of shop.service \\(uid [0-9]+\\).*exit 77" \
    exit_status box tokenkeeper policy explain --as-unit other.service token --session "$alices"
expect '... while the first service has it' '^allowed: shop.service may "token" on session .*: corp.toml:7 allows it' \
    box tokenkeeper policy explain --as-unit shop.service token --session "$alices"
box rm /etc/tokenkeeper/conf.d/other.toml
box systemctl reload tokenkeeperd

# --- the end, and beginning anew ---------------------------------------------------------------------------------------------

expect 'a restart is quiet' '^$' box systemctl restart tokenkeeperd
expect '... and after it there is a token without a login' '^alice$' token_of

box systemctl kill --signal=KILL tokenkeeperd
expect 'who asks while a killed daemon is away waits, and gets a token' '^alice$' token_of
eventually '... because systemd brought it back' '^[^0]' shows NRestarts

# --- a wrong configuration ---------------------------------------------------------------------------------------------------

write /etc/tokenkeeper/conf.d/wrong.toml <<<'nonsense = true'
expect 'a reload of a wrong configuration fails' 'failed.*exit 1' exit_status box systemctl reload tokenkeeperd
expect '... the journal says where it is wrong' 'wrong.toml:1:1: ' last_words 10
expect '... and the old one stays in force' '^alice$' token_of
box systemctl kill --signal=HUP tokenkeeperd
eventually 'a SIGHUP that nobody checked is refused and shown' '1 session.*REFUSED' shows StatusText
expect '... with its place' 'reload REFUSED: .*wrong.toml:1:1: .*exit 1' exit_status box tokenkeeper status
expect '... and the old one stays in force then too' '^alice$' token_of

expect 'a start with a wrong configuration fails' 'failed.*exit 1' exit_status box systemctl restart tokenkeeperd
expect '... and is not tried again' '^exit-code 0 78 failed$' \
    box systemctl show tokenkeeperd --value --property=NRestarts,Result,ExecMainStatus,ActiveState
expect '... and who asks then is told, and does not wait for ever' 'exit (69|75)' \
    exit_status as_unit shop tokenkeeper token corp
box rm /etc/tokenkeeper/conf.d/wrong.toml
box systemctl reset-failed tokenkeeperd.service tokenkeeperd.socket tokenkeeperd-http.socket
expect 'once it is mended the service starts' '^$' box systemctl start tokenkeeperd
expect '... and its socket with it' '^alice$' token_of

# --- the watchdog ------------------------------------------------------------------------------------------------------------

drop_in watchdog <<<$'[Service]\nWatchdogSec=1s\nRestartSec=200ms'
box systemctl restart tokenkeeperd
eventually 'the watchdog is fed' '^[3-9]$' seconds_fed
expect '... and content' '^0$' shows NRestarts
box systemctl kill --signal=STOP --kill-who=main tokenkeeperd
eventually 'a daemon that hangs is replaced' '^1$' shows NRestarts
expect '... without a core' 'Watchdog timeout.*code=killed, status=6/ABRT' last_words 20
expect '... and the new one has the token' '^alice$' token_of
box rm /etc/systemd/system/tokenkeeperd.service.d/watchdog.conf

# --- the keys ----------------------------------------------------------------------------------------------------------------

box systemctl daemon-reload
expect 'keys are rotated' '^Epoch 2 has begun' box tokenkeeper keys rotate
eventually '... to the end' 'epoch +2 $' words_of box tokenkeeper keys show
expect 'a new identity takes the place of the old' 'new identity: systemd credential \(host key\). Restart' box tokenkeeperd setup --rekey
expect '... and the daemon starts with it' '^$' restart
expect '... and serves' '^alice$' token_of

# --- a user is erased, and so are the keys -----------------------------------------------------------------------------------

identity=/etc/credstore.encrypted/tokenkeeper.identity
keyring=/var/lib/tokenkeeper/keyring.age
box systemd-creds decrypt --name=tokenkeeper.identity $identity /root/old
box cp --preserve $keyring /root/old.age
fetch /root/old
expect 'somebody keeps the identity, and it opens the keyring' "^$keyring $" words_of opened_by "$dir/old" $keyring
expect 'alice is erased by force' 'Erased in .* 1 session; corp has revoked.*One step is left, as root.*tokenkeeperd setup --rekey' \
    box tokenkeeper erase corp --user alice --forced --yes
expect '... and has no token any more' 'exit [34]$' exit_status as_unit shop tokenkeeper token corp
expect '... the key of the records is another one' 'epoch +3 $' words_of box tokenkeeper keys show
expect '... and root is told what is left to do' 'is done but for one step: run `tokenkeeperd setup --rekey`.*exit 1' \
    exit_status box tokenkeeper status
expect '... while others log in, and she too' 'Logged in to corp as alice' log_in
expect 'root seals a new identity' 'new identity: systemd credential \(host key\)' box tokenkeeperd setup --rekey
expect '... which opens the store after a restart' '^alice$' after_restart token_of
expect '... with nothing left to do' '^0$' exit_code box tokenkeeper status
expect '... the old one opens no file of the host any more' '^$' opened_by "$dir/old" $(daemons_files)
expect '... and lies in none' '^$' box grep --recursive --files-with-matches --fixed-strings --file=/root/old /var/lib/tokenkeeper /etc

box mv $identity /root/new
box mv $keyring /root/new.age
box install --mode=400 --owner=tokenkeeper /root/old /var/lib/tokenkeeper/identity
box cp --preserve /root/old.age $keyring
restart
expect 'who has kept the old keyring as well opens no record with them' '^LOCKED, nothing is served: the keyring does not belong to this store' \
    shows StatusText
box rm /var/lib/tokenkeeper/identity /root/old /root/old.age
box mv /root/new $identity
box mv /root/new.age $keyring
expect '... and the new ones still do' '^alice$' after_restart token_of

box systemd-creds decrypt --name=tokenkeeper.identity /etc/credstore.encrypted/tokenkeeper.identity /root/copy
box mv /var/lib/systemd/credential.secret /root/credential.secret
restart
expect 'a host that has lost its key starts the daemon all the same' '^LOCKED, nothing is served: there is no identity' shows StatusText
expect '... and tells root' 'not serving.*tokenkeeper keys recover.*exit 2' exit_status box tokenkeeper status
expect '... and whoever asks' 'cannot open its keys.*exit 78' exit_status as_unit shop tokenkeeper token corp
box mv /root/credential.secret /var/lib/systemd/credential.secret
restart
expect 'a host that has its key back is as it was' '^alice$' token_of

box rm /var/lib/systemd/credential.secret
restart
expect 'a copy of the identity opens the keys again' 'The keys are open' box tokenkeeper keys recover --identity-file /root/copy
expect '... without a restart' '^alice$' token_of
expect '... and from then on the host has an identity of its own' '^alice$' after_restart token_of
expect '... which is sealed again on demand' 'new identity: systemd credential \(host key\)' box tokenkeeperd setup --rekey
expect '... for good' '^alice$' after_restart token_of
expect '... and lies in no file' 'No such file' box ls /var/lib/tokenkeeper/identity
box rm /root/copy

# --- secrets from systemd ----------------------------------------------------------------------------------------------------

encrypt corp /etc/tokenkeeper/secrets/corp
box sed -i 's/{ file = "corp" }/{ credential = "corp" }/' /etc/tokenkeeper/conf.d/corp.toml
drop_in credentials <<<$'[Service]\nLoadCredentialEncrypted=corp'
expect 'the daemon starts with encrypted credentials in place of files' '^$' box systemctl restart tokenkeeperd
expect '... and says so' 'keys +systemd credential' box tokenkeeper status
expect '... they open the store' '^alice$' token_of
expect '... they are the secrets that the provider knows' 'Logged in to corp as alice' log_in
expect '... and a reload, whose check may not see them, is no trouble' '^$' box systemctl reload tokenkeeperd
eventually '... because the daemon does' 'the new configuration is in force' last_words 6

# --- what is left ------------------------------------------------------------------------------------------------------------

expect 'a stop takes no time' '^[0-2] seconds$' seconds_of box systemctl stop tokenkeeperd.socket tokenkeeperd-http.socket tokenkeeperd
expect '... and is clean' '^success 0 inactive$' \
    box systemctl show tokenkeeperd --value --property=Result,ExecMainStatus,ActiveState
expect '... and takes the sockets along' '^$' box ls /run/tokenkeeper
for event in daemon_started login_begun login_completed token_handed_out denied config_reloaded config_refused daemon_stopped; do
    expect "syslog has $event" "event=\"$event\"" audit
done
expect 'no token and no secret is in any log' '^0$' leaked
