# What tests/run and the parts in tests/full share: getting the tools that they call. Sourced by bash, from the tree's root.

# What the tests fetched and built, kept between runs.
TESTS_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/portcullis-tests

# Daemons are in sbin, which a user's PATH may not name.
PATH="$PATH:/usr/sbin:/sbin"

# install_tools COMMAND:PACKAGE…: installs the Debian packages whose commands are missing.
install_tools() {
  local packages=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  [ ${#packages[@]} -gt 0 ] || return 0

  local install="apt-get install -y --no-install-recommends ${packages[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "The tests need: ${packages[*]}. This is no Debian, so install them by hand." >&2
    return 1
  fi
  if ! become_root true 2>/dev/null; then
    echo "The tests need packages, and installing them needs root. Run: sudo $install" >&2
    return 1
  fi
  echo "Installing what the tests need: ${packages[*]}"
  become_root apt-get update -qq && become_root env DEBIAN_FRONTEND=noninteractive $install
}

# become_root COMMAND…: runs it as root, or fails where that would ask for a password.
become_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

# Prints the python of an environment that has what tests/peers/requirements.txt names; made once for each such list.
peers_python() {
  local list=tests/peers/requirements.txt environment
  environment=$TESTS_CACHE/python-$(sha256sum $list | cut -c 1-16)
  if [ ! -x "$environment/bin/python" ]; then
    echo "Installing the Python packages that the tests need" >&2
    rm -rf "$environment.new"
    python3 -m venv "$environment.new" >&2
    "$environment.new/bin/python" -m pip install --quiet --requirement $list >&2
    mv "$environment.new" "$environment"
  fi
  echo "$environment/bin/python"
}

# build_release: the gateway as it is shipped; its path is in $PORTCULLIS.
build_release() {
  cargo build --locked --release --quiet
  export PORTCULLIS=${CARGO_TARGET_DIR:-target}/release/portcullis
}
