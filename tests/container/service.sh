# deploy/portcullis.service under a systemd of its own, as README.md says. Sourced by `inside`, after image.sh.

# The most exposure that `systemd-analyze security` may find, in tenths: 100 is no protection at all.
EXPOSURE=14

service_runs() {
  start_machine
  local lines
  lines=$(readme 'systemctl enable')
  # The last line asks a gateway that has to serve first.
  on_machine "${lines%sudo portcullis*}" || fail "the lines of README.md fail"
  written 'serving.*generation=1'
  on_machine "portcullis${lines##*sudo portcullis}" | grep -q 'http://backend.test:8080' || fail "no status"
  is_shut_in
  reaches 'web: GET /'

  # A bad config is told by the reload and changes nothing.
  on_machine 'echo "[[rout]]" >>/etc/portcullis/portcullis.toml'
  if systemctl reload portcullis 2>/dev/null; then fail "a bad config is reloaded"; fi
  written 'unknown key .rout'
  reaches 'web: GET /'
  on_machine 'sed -i "s/^\[\[rout\]\]/[log.access]\nsample = 0.5/" /etc/portcullis/portcullis.toml'
  systemctl reload portcullis || fail "no reload"
  written 'serving.*generation=2'

  # It comes back by itself after an accident, and not with a config that it cannot serve.
  systemctl kill --signal KILL portcullis
  written 'restart counter is at 1'
  reaches 'web: GET /'
  systemctl stop portcullis
  [ "$(property Result) $(property ExecMainStatus)" = 'success 0' ] || fail "the stop: $(property Result)"
  on_machine 'echo "[[rout]]" >>/etc/portcullis/portcullis.toml'
  systemctl start portcullis
  written 'status=2'
  [ "$(property ActiveState)" = failed ] || fail "with a bad config it is $(property ActiveState)"
  docker rm --force machine web >/dev/null
}

# A Debian with systemd as its first process, a backend beside it, and what README.md takes as built and written.
start_machine() {
  docker run --detach --name web --hostname web --volume "$PWD/deploy/nginx.conf:/etc/nginx/nginx.conf:ro" nginx:stable \
    >/dev/null
  docker run --detach --name machine --add-host "backend.test:$(address web)" \
    --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined --cgroupns host --volume /sys/fs/cgroup:/sys/fs/cgroup --tmpfs /run --tmpfs /tmp \
    --workdir /root/portcullis machine /sbin/init >/dev/null
  # Until it has a bus to be asked on there is nothing to wait for.
  local end=$((SECONDS + 60))
  until systemctl is-system-running --wait >"$work/out" 2>&1 || grep -q degraded "$work/out"; do
    [ "$SECONDS" -lt "$end" ] || { cat "$work/out" >&2; fail "no systemd"; }
  done

  on_machine 'mkdir -p target/release certs'
  docker cp "$work/gateway" machine:/root/portcullis/target/release/portcullis
  docker cp deploy machine:/root/portcullis/
  docker cp certs/dev/localhost.crt machine:/root/portcullis/certs/example.com.crt
  docker cp certs/dev/localhost.key machine:/root/portcullis/certs/example.com.key
  on_machine 'cat >portcullis.toml' <<'END'
[[certificate]]
cert = "certs/example.com.crt"
key = "certs/example.com.key"
[[route]]
pool = ["http://backend.test:8080"]
END
}

# What the unit says of itself, and what holds for the process.
is_shut_in() {
  on_machine 'systemd-analyze verify portcullis.service' || fail "the unit is not well-formed"
  local report
  report=$(on_machine "systemd-analyze security --no-pager --threshold=$EXPOSURE portcullis.service") ||
    fail "$report"
  echo "   $(tail -n 1 <<<"$report")"

  local status wanted user
  user=$(on_machine 'id -u portcullis')
  status=$(on_machine "cat /proc/$(property MainPID)/status" | tr '\t' ' ')
  # Of all capabilities the tenth bit: CAP_NET_BIND_SERVICE.
  for wanted in "Uid: $user $user $user $user" 'CapEff: 0000000000000400' 'CapBnd: 0000000000000400' 'NoNewPrivs: 1' \
    'Seccomp: 2'; do
    grep -q "^$wanted" <<<"$status" || fail "no '$wanted' in: $status"
  done
  ! written_so_far | grep -E ' (WARN|ERROR) ' || fail "the gateway lacks something"
}

# Runs lines in the machine, where root is what `sudo` would make one.
on_machine() {
  docker exec --interactive machine bash -euc "sudo() { \"\$@\"; }
    $1"
}

systemctl() {
  docker exec machine systemctl "$@"
}

property() {
  systemctl show --property "$1" --value portcullis
}

# Waits for a line of the journal.
written() {
  first_match "$1" docker exec machine journalctl --follow --no-tail --output cat --unit portcullis ||
    { written_so_far >&2; fail "the journal lacks: $1"; }
}

written_so_far() {
  docker exec machine journalctl --no-pager --output cat --unit portcullis
}

# reaches EXPECTED: what comes from the backend over HTTPS on port 443; again while the gateway starts.
reaches() {
  local answer
  answer=$(curl -sS --retry 20 --retry-connrefused --cacert certs/dev/localhost.crt \
    --connect-to "localhost:443:$(address machine):443" https://localhost/)
  [ "$answer" = "$1" ] || { written_so_far >&2; fail "port 443 answers: $answer"; }
}

address() {
  property_of "$1" NetworkSettings.IPAddress
}
