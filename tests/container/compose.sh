# compose.yaml, as README.md says. Sourced by `inside`.

# Whole rounds of both sets of weights below, 9 and 4 requests long.
REQUESTS=108
ca=certs/dev/localhost.crt

compose_serves() {
  local backend lines
  lines=$(readme 'docker compose up')
  # What the context must not take into the image.
  mkdir -p state
  touch state/secret
  eval "${lines%docker compose down*}" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "the lines of README.md fail"; }
  grep -q '^backend-[123]: GET /$' "$work/out" || { cat "$work/out" >&2; fail "no backend answered"; }
  grep -q 'http://backend-1:8080 *1 *5 ' "$work/out" || { cat "$work/out" >&2; fail "no status"; }

  local gateway
  gateway=$(docker compose ps -q gateway)
  healthy "$gateway"
  confined "$gateway" 65532
  for backend in 1 2 3; do
    confined "$(docker compose ps -q "backend-$backend")" 101
  done

  shares "60 backend-1 36 backend-2 12 backend-3"
  redirects
  # Through the mount, as an editor does it: a new file in the old one's place.
  sed 's/weight = 5/weight = 0/' config/compose.toml >config/new
  mv config/new config/compose.toml
  logged "$gateway" 'serving.*generation=2'
  shares "81 backend-2 27 backend-3"
  stops "$gateway"
  docker compose down >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "compose does not go down"; }
}

# shares EXPECTED: how many of the requests each backend answers.
shares() {
  local seen
  seen=$(curl -sS --http2 --cacert "$ca" "https://localhost:8443/[1-$REQUESTS]" | cut -d: -f1 | sort | uniq -c | xargs)
  echo "   of $REQUESTS requests: $seen"
  [ "$seen" = "$1" ] || fail "right is: $1"
}

redirects() {
  local answer
  answer=$(curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' http://localhost:8080/x?y=1)
  [ "$answer" = '308 https://localhost:8443/x?y=1' ] || fail "port 8080 answers: $answer"
}
