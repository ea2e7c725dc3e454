# Docker in these namespaces, and how the tests speak with it. Sourced by `inside`, which sets $work and $bases.

export DOCKER_HOST=unix://$work/docker.sock
# Also for a compose that is older than BuildKit, so that both build alike and share what they built.
export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
# The client that came with the daemon.
PATH=/usr/bin:$PATH:/usr/sbin:/sbin

fail() {
  echo "$*" >&2
  exit 1
}

start_docker() {
  touch "$work/docker.log"
  dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
    --cgroup-parent "/$(basename "$work")" >>"$work/docker.log" 2>&1 &
  # Its last word before it answers.
  first_match 'API listen on' tail -f -n +1 "$work/docker.log" || { tail -n 20 "$work/docker.log" >&2; fail "no Docker"; }
}

# The images that the Dockerfile and compose.yaml name, and a machine for systemd.
import_bases() {
  local rust runtime
  rust=$(sed -n 's/^FROM \(rust:.*\) AS .*/\1/p' Dockerfile)
  runtime=$(sed -n 's/^FROM \(gcr.io.*\)/\1/p' Dockerfile)
  # The one tar after the other: the end of the first would hide the second.
  cp "$bases/build.tar" "$work/build.tar"
  tar --concatenate --file "$work/build.tar" "$work/rust.tar"
  docker import --change 'ENV CARGO_HOME=/usr/local/cargo' "$work/build.tar" "$rust" >/dev/null
  rm "$work/build.tar" "$work/rust.tar"
  docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' "$bases/runtime.tar" "$runtime" >/dev/null
  docker import --change 'CMD ["nginx", "-g", "daemon off;"]' "$bases/nginx.tar" nginx:stable >/dev/null
  docker import "$bases/machine.tar" machine >/dev/null
  echo "   $rust stands for $(docker run --rm --network none "$rust" rustc --version)"
}

# The lines of README.md that hold $1: the whole block.
readme() {
  awk -v wanted="$1" '
    /^```/ { if (inside && index(block, wanted)) { printf "%s", block; exit } inside = $0 == "```sh"; block = ""; next }
    inside { block = block $0 "\n" }' README.md
}

# What README.md calls by these names.
sudo() {
  "$@"
}
docker() {
  if [ "$1" = compose ] && ! command docker compose version >/dev/null 2>&1; then
    shift
    # The older program wants to be told that this is no terminal.
    [ "$1" != exec ] || set -- exec -T "${@:2}"
    command docker-compose "$@"
  else
    command docker "$@"
  fi
}

# first_match REGEX COMMAND...: waits for a line of what a command goes on printing.
first_match() {
  local regex=$1
  shift
  grep -q -m 1 -E "$regex" < <(exec timeout 120 "$@" 2>&1)
}

# logged CONTAINER REGEX: waits for a line in its log since it was last started.
logged() {
  first_match "$2" docker logs --follow --since "$(property_of "$1" State.StartedAt)" "$1" ||
    { docker logs "$1" >&2; fail "$1 does not log: $2"; }
}

# Waits for the verdict of the health check.
healthy() {
  # By its id: a name would stand for all that begin with it.
  first_match 'status: healthy' docker events --since "$(property_of "$1" State.StartedAt)" \
    --filter "container=$(property_of "$1" Id)" --filter event=health_status ||
    { docker inspect --format '{{json .State}}' "$1" >&2; docker logs "$1" >&2; fail "$1 is not healthy"; }
}

# stops CONTAINER: as `docker stop` does it, and the gateway drains and says that all went well.
stops() {
  docker stop "$1" >/dev/null
  logged "$1" ' stopped'
  [ "$(property_of "$1" State.ExitCode)" = 0 ] || { docker logs "$1" >&2; fail "$1 fails after SIGTERM"; }
}

property_of() {
  docker inspect --format "{{.$2}}" "$1"
}

# confined CONTAINER USER: its first process has no root, no capability, no way to one, and no file system to write to but
# those it was given.
confined() {
  local pid status wanted
  pid=$(property_of "$1" State.Pid)
  status=$(tr '\t' ' ' <"/proc/$pid/status")
  for wanted in "Uid: $2 $2 $2 $2" 'CapPrm: 0000000000000000' 'CapEff: 0000000000000000' 'CapBnd: 0000000000000000' \
    'NoNewPrivs: 1' 'Seccomp: 2'; do
    grep -q "^$wanted" <<<"$status" || fail "$1: no '$wanted' in: $status"
  done
  awk '$5 == "/" { exit $6 !~ /^ro,/ }' "/proc/$pid/mountinfo" || fail "$1: its root can be written to"
}
