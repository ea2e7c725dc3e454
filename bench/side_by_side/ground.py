"""What a measurement stands on: tools, a network of its own, a folder, certificates, cores, processes that end with it."""

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]

# A command and the Debian package that has it.
NEEDED = {
    "nginx": "nginx-light", "wrk": "wrk", "h2load": "nghttp2-client", "strace": "strace", "valgrind": "valgrind",
    "openssl": "openssl", "taskset": "util-linux",
}

# The proxies' core; generator and backend share the other one.
PROXY_CORE, OTHER_CORE = 0, 1

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def install_tools():
    """Installs from Debian what is missing, and says so."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for command, package in NEEDED.items() if not shutil.which(command)})
    if not missing:
        return
    print(f"bench/run: installing {' '.join(missing)}", file=sys.stderr)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, "apt-get", "update", "-qq"], check=True)
    install = [*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def build():
    """The release binary of this tree."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=TREE, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", TREE / "target"))
    return target / "release" / "portcullis"


def enter_own_network():
    """Moves this process to a network namespace of its own, with reno: ports are free there, and the host's congestion
    control (bbr paces even on loopback) does not count."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        reason = os.strerror(ctypes.get_errno())
        print(f"bench/run: no network of its own ({reason}); the host's settings hold", file=sys.stderr)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    for key, value in {"tcp_congestion_control": "reno", "ip_local_port_range": "10000 65000"}.items():
        try:
            Path(f"/proc/sys/net/ipv4/{key}").write_text(value)
        except OSError as error:
            print(f"bench/run: {key} stays as it is: {error}", file=sys.stderr)


class Ground:
    """A folder with certificates, and the processes started in it. Leaving it ends them and removes the folder."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
        self.processes = []
        atexit.register(self.clear)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.certificate],
            check=True, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.clear()

    @property
    def certificate(self):
        return self.folder / "localhost.crt"

    @property
    def key(self):
        return self.folder / "localhost.key"

    def start(self, command, core, name):
        """Starts a process on a core, its output in a file of the folder."""
        with open(self.folder / f"{name}.out", "ab") as out:
            process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], cwd=self.folder, stdout=out, stderr=out)
        self.processes.append(process)
        return process

    def clear(self):
        for process in self.processes:
            end(process)
        self.processes = []
        shutil.rmtree(self.folder, ignore_errors=True)


def end(process, within=5):
    """Ends a process that the harness started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_port(port, process, within=60):
    """Waits until something accepts on the port."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"bench/run: nothing accepts on port {port}: {' '.join(map(str, process.args))}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
