# The image by itself, as README.md says. Sourced by `inside`, after compose.yaml has had it built.

# In thousands of bytes; the base is 25,000 of them.
LARGEST=45000

image_stands_alone() {
  size
  holds_only_the_gateway
  asks_for_a_config

  cat >config/portcullis.toml <<'END'
[[listener]]
name = "https"
bind = "0.0.0.0:8443"
tls = true
[[listener]]
bind = "0.0.0.0:8080"
redirect_https = true
[[certificate]]
cert = "../certs/dev/localhost.crt"
key = "../certs/dev/localhost.key"
[[route]]
respond = { status = 200, body = "from the image\n" }
END
  eval "$(readme 'docker run')" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "the lines of README.md fail"; }
  healthy portcullis
  confined portcullis 65532
  answers
  stops portcullis

  local token
  token=$(docker volume inspect --format '{{.Mountpoint}}' portcullis)/admin.token
  [ "$(stat -c '%u %a' "$token")" = '65532 600' ] || fail "the token is $(stat -c '%u %a' "$token")"
  docker start portcullis >/dev/null
  healthy portcullis
  answers
  docker exec portcullis portcullis status >/dev/null || fail "the state did not outlive a restart"
  stops portcullis
}

size() {
  local bytes
  bytes=$(docker image inspect --format '{{.Size}}' portcullis)
  echo "   size of the image: $((bytes / 1000)) kB, of which the gateway: $(($(bytes_of_the_gateway) / 1000)) kB"
  [ $((bytes / 1000)) -le $LARGEST ] || fail "at most $LARGEST kB are right"
}

bytes_of_the_gateway() {
  docker run --rm --entrypoint portcullis portcullis --version >/dev/null || fail "the gateway does not run"
  local container
  container=$(docker create portcullis)
  docker cp "$container:/usr/local/bin/portcullis" "$work/gateway"
  docker rm --volumes "$container" >/dev/null
  stat -c %s "$work/gateway"
}

# Nothing of the context has come along: no key, no state, no source.
holds_only_the_gateway() {
  local base added
  base=$(sed -n 's/^FROM \(gcr.io.*\)/\1/p' Dockerfile)
  added=$(comm -13 <(files "$base") <(files portcullis) | xargs)
  local wanted="certs/ config/ state/ usr/local/ usr/local/bin/ usr/local/bin/portcullis usr/share/doc/portcullis/"
  wanted+=" usr/share/doc/portcullis/copyright"
  [ "$added" = "$wanted" ] || fail "the image adds: $added"
}

files() {
  local container
  container=$(docker create "$1" none)
  docker export "$container" | tar -t | sort
  docker rm --volumes "$container" >/dev/null
}

asks_for_a_config() {
  local code=0
  docker run --rm --read-only portcullis >"$work/out" 2>&1 || code=$?
  [ "$code" = 2 ] && grep -q 'the file does not exist' "$work/out" || fail "without a config: $code, $(cat "$work/out")"
}

answers() {
  local answer
  answer=$(curl -sS --cacert certs/dev/localhost.crt https://localhost/)
  [ "$answer" = 'from the image' ] || fail "port 443 answers: $answer"
  answer=$(curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' http://localhost/)
  [ "$answer" = '308 https://localhost/' ] || fail "port 80 answers: $answer"
}
