"""CPU time per request in rotating slices: whatever the machine does besides hits all peers alike."""

import statistics
import subprocess
import time
from dataclasses import dataclass

from .scenarios import check

# What lies before a slice: handshakes, connections to the backends, warm caches.
SETTLE = 0.5


@dataclass
class Slice:
    """What one peer did in one slice."""

    cpu_us: float
    requests: int
    seconds: float

    @property
    def per_request(self):
        return self.cpu_us / self.requests

    @property
    def rate(self):
        return self.requests / self.seconds


def rotate(scenario, peers, backend, rounds, seconds):
    """A slice of each peer a round, in reversed order every other round: `[{name: Slice}]`."""
    measured = []
    for index in range(rounds):
        order = peers if index % 2 == 0 else peers[::-1]
        measured.append({peer.name: one(scenario, peer, backend, seconds) for peer in order})
    return measured


def one(scenario, peer, backend, seconds):
    load = scenario.begin(peer, SETTLE + seconds + 0.5)
    try:
        time.sleep(SETTLE)
        cpu, requests, start = peer.cpu(), backend.requests(), time.monotonic()
        time.sleep(seconds)
        cpu, requests, took = peer.cpu() - cpu, backend.requests() - requests, time.monotonic() - start
        output = load.communicate(timeout=30)[0]
    except subprocess.TimeoutExpired:
        raise SystemExit(f"bench/run: the load on {peer.name} does not end") from None
    finally:
        load.kill()
    check(output, scenario.name, peer.name)
    peer.rest()
    return Slice(cpu / 1000, requests, took)


def ratio(rounds, ours, other):
    """Median, least and greatest of ours ÷ other within a round."""
    ratios = sorted(slices[ours].per_request / slices[other].per_request for slices in rounds)
    return statistics.median(ratios), ratios[0], ratios[-1]
