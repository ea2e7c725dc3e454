"""The tables people read and the JSON that programs read."""

import json
import os
import platform
import statistics
import time
from dataclasses import dataclass, field

from . import slices

OURS = "portcullis"


@dataclass
class Results:
    """Everything that was measured."""

    options: object
    rounds: dict = field(default_factory=dict)
    syscalls: dict = field(default_factory=dict)
    instructions: dict = field(default_factory=dict)
    idle: dict = field(default_factory=dict)
    load: tuple = field(default_factory=os.getloadavg)

    def add_rounds(self, scenario, rounds):
        self.rounds[scenario] = rounds

    def markdown(self):
        return "\n".join([*self.cpu_table(), *self.syscall_table(), *self.other_table()])

    def cpu_table(self):
        yield "| scenario | peer | CPU µs/request (median, least–most) | requests/s | portcullis ÷ peer (median, least–most) |"
        yield "|---|---|---|---|---|"
        for scenario, rounds in self.rounds.items():
            for name in rounds[0]:
                costs = [slice_[name].per_request for slice_ in rounds]
                rate = statistics.median(slice_[name].rate for slice_ in rounds)
                cost = f"{statistics.median(costs):.1f} ({min(costs):.1f}–{max(costs):.1f})"
                compared = "–"
                if name != OURS and OURS in rounds[0]:
                    compared = "**{:.2f}** ({:.2f}–{:.2f})".format(*slices.ratio(rounds, OURS, name))
                yield f"| {scenario} | {name} | {cost} | {rate:,.0f} | {compared} |"

    def syscall_table(self):
        if not self.syscalls:
            return
        yield ""
        yield "| scenario | peer | system calls/request | of which |"
        yield "|---|---|---|---|"
        for scenario, by_peer in self.syscalls.items():
            for name, counts in by_peer.items():
                total = sum(count for call, count in counts.items() if not call.startswith("("))
                listed = ", ".join(f"{call} {count:.2f}" for call, count in counts.items() if count >= 0.005)
                yield f"| {scenario} | {name} | {total:.2f} | {listed} |"

    def other_table(self):
        if self.instructions:
            yield ""
            yield "| scenario | peer | user instructions/request |"
            yield "|---|---|---|"
            for scenario, by_peer in self.instructions.items():
                yield from (f"| {scenario} | {name} | {count:,} |" for name, count in by_peer.items())
        if self.idle:
            yield ""
            yield "| peer | KiB per idle TLS connection |"
            yield "|---|---|"
            yield from (f"| {name} | {count / 1024:.1f} |" for name, count in self.idle.items())

    def write(self, folder):
        """Writes the JSON and returns where."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.options.label}.json"
        rounds = {scenario: [{name: vars(slice_) for name, slice_ in round_.items()} for round_ in rounds]
                  for scenario, rounds in self.rounds.items()}
        document = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": platform.release(), "load": self.load,
            "rounds": rounds, "syscalls_per_request": self.syscalls, "instructions_per_request": self.instructions,
            "idle_bytes_per_connection": self.idle,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path
