"""What a run stands on: a folder, a CA, processes that end with it, the gateway as one of them, and a table of results."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

# How long a run waits for what must happen. Long, since machines are busy; nothing waits for it to pass.
PATIENCE = 60


class Ground:
    """A folder with a CA and a certificate for localhost in it. Leaving it ends its processes and removes it."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-peers-"))
        self.processes = []
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self._sign()
        return self

    def __exit__(self, kind, *_):
        for process in reversed(self.processes):
            process.end()
        if kind is not None:
            for process in self.processes:
                print(f"--- {process.name}, its last lines\n" + "\n".join(process.lines[-20:]), file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ca(self):
        return self.folder / "ca.crt"

    @property
    def certificate(self):
        return self.folder / "localhost.crt"

    @property
    def key(self):
        return self.folder / "localhost.key"

    def _sign(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.crt",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "localhost.key", "-out", "localhost.csr")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        self._openssl("x509", "-req", "-in", "localhost.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "30", "-extfile", "names", "-out", "localhost.crt")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, stderr=subprocess.DEVNULL)

    def start(self, name, *command, **environment):
        """Starts a process whose output is read."""
        process = Process(name, [str(part) for part in command], self.folder, environment)
        self.processes.append(process)
        return process

    def python(self, name, *arguments):
        """Starts one of the servers beside this file; the port that it says it listens on is in `port`."""
        process = self.start(name, sys.executable, "-u", HERE / name, *arguments)
        process.port = int(process.wait_for(r"^listening (\d+)$")[1])
        return process

    def gateway(self, config):
        """Starts the gateway on this config, with a TLS listener called `https` on any port, until it serves."""
        home = Path(tempfile.mkdtemp(prefix="gateway-", dir=self.folder))
        file = home / "portcullis.toml"
        file.write_text(listening(self, home) + config)
        binary = Path(os.environ["PORTCULLIS"]).resolve()
        gateway = self.start("gateway", binary, "run", "-c", file, PORTCULLIS_LOG_FORMAT="json",
                             PORTCULLIS_ADMIN_LISTEN="127.0.0.1:0", PORTCULLIS_SERVER_DRAIN="1s", RUST_BACKTRACE="1")
        event = gateway.wait_for_event("listening", listener="https")
        gateway.port, gateway.home = int(event["address"].rpartition(":")[2]), home
        gateway.wait_for_event("serving")
        return gateway


def listening(ground, home):
    """A TLS listener, its certificate, and an access log that is no output of the process."""
    return f"""
[log.access]
path = "{home}/access.log"
[[listener]]
name = "https"
bind = "127.0.0.1:0"
tls = true
[[certificate]]
cert = "{ground.certificate}"
key = "{ground.key}"
"""


class Process:
    """A child process: its lines as they come, its end with the run."""

    def __init__(self, name, command, folder, environment):
        self.name, self.lines, self.ended = name, [], False
        self.changed = threading.Condition()
        self.child = subprocess.Popen(command, cwd=folder, text=True, errors="replace", stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, pattern, within=PATIENCE):
        """The match of the first line that has the pattern."""
        return self._first(lambda line: re.search(pattern, line), f"/{pattern}/", within)

    def wait_for_event(self, message, within=PATIENCE, **fields):
        """The first event of the gateway with this message and these fields."""
        def event(line):
            if not line.startswith("{"):
                return None
            said = json.loads(line)
            return said if {"msg": message, **fields}.items() <= said.items() else None
        return self._first(event, f"{message} {fields}", within)

    def _first(self, found, wanted, within):
        seen, deadline = 0, time.monotonic() + within
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if hit := found(line):
                        return hit
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise RuntimeError(f"{self.name}: {'ended' if self.ended else 'waited'} without {wanted}")
                self.changed.wait(left)

    def end(self):
        """Ends it; a gateway that panicked has failed the run."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        panics = [line for line in self.lines if "panicked" in line]
        if self.name == "gateway" and panics:
            raise SystemExit("\n".join(panics))


def free_port():
    """A port that nobody had a moment ago, for servers that cannot say which one they got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    """Waits until a server that says nothing accepts."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not process.ended:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.name}: nothing accepts on port {port}")


def shortly(result):
    """A result in a line that can be read, cut where it is long."""
    text = str(result)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text)} characters)"


def compare(columns):
    """Says where a column of `{name: {case: result}}` differs from the first; leaves with 1 if any does."""
    (first, expected), *others = columns.items()
    wrong = []
    for name, results in others:
        for case in sorted(expected.keys() | results.keys()):
            if results.get(case) != expected.get(case):
                wrong.append(f"  {case}\n    {first}: {shortly(expected.get(case))}\n    {name}: {shortly(results.get(case))}")
    print(f"{len(expected)} cases, the same in: {', '.join(columns)}" if not wrong else "\n".join(["not the same:", *wrong]))
    if wrong:
        raise SystemExit(1)
