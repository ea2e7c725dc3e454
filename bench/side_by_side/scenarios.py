"""What is asked of the gateways. To add one: its line in ALL."""

import math
import re
import subprocess
from dataclasses import dataclass

from . import ground


@dataclass
class Scenario:
    """A steady load over keep-alive connections."""

    name: str
    secured: bool
    connections: int
    # Requests at once on each connection, over HTTP/2; none for HTTP/1.1.
    streams: int | None = None

    def suits(self, peer):
        return self.streams is None or peer.negotiates("h2")

    def url(self, peer):
        return f"https://localhost:{peer.tls}/" if self.secured else f"http://localhost:{peer.plain}/"

    def begin(self, peer, seconds):
        """Starts the load for so long, in whole seconds: the generators know no others."""
        seconds = math.ceil(seconds)
        if self.streams is None:
            command = ["wrk", "-t", "1", "-c", self.connections, "-d", f"{seconds}s", self.url(peer)]
        else:
            command = ["h2load", "-t", 1, "-c", self.connections, "-m", self.streams, "-D", seconds, self.url(peer)]
        return subprocess.Popen(on_core(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def fixed(self, peer, requests, connections=None):
        """Sends exactly so many requests, over so many connections."""
        command = ["h2load", "-t", 1, "-c", connections or self.connections, "-n", requests]
        command += ["--h1"] if self.streams is None else ["-m", self.streams]
        done = subprocess.run(on_core([*command, self.url(peer)]), capture_output=True, text=True, timeout=600)
        check(done.stdout, self.name, peer.name)


ALL = [
    Scenario("h1tls", True, 64),
    Scenario("h1plain", False, 64),
    Scenario("h2_1x100", True, 1, 100),
    Scenario("h2_32x10", True, 32, 10),
]


def on_core(command):
    return ["taskset", "-c", str(ground.OTHER_CORE), *map(str, command)]


def check(output, scenario, peer):
    """Stops where a request failed: such a figure would be worth nothing."""
    failed = re.search(r"Non-2xx.*|Socket errors.*(?:connect|read|write|timeout) [1-9].*", output)
    h2load = re.search(r"(\d+) failed, (\d+) errored", output)
    if failed or (h2load and h2load[1] != "0") or not re.search(r"requests in|finished in", output):
        raise SystemExit(f"bench/run: {scenario} over {peer} failed:\n{output}")
