"""What can be counted rather than timed: system calls, instructions, memory. Each is the difference of two fixed loads, so
that start, handshakes and connections to backends cancel out."""

import re
import signal
import socket
import subprocess
import time

from . import ground
from .peers import trusting

IDLE_CONNECTIONS = 4000


def syscalls(scenario, peer, few=4_000, many=24_000):
    """System calls per request, by name."""
    small, large = (traced(scenario, peer, requests) for requests in (few, many))
    per_request = {name: (count - small.get(name, 0)) / (many - few) for name, count in large.items()}
    return {name: round(value, 3) for name, value in sorted(per_request.items(), key=lambda item: -item[1]) if value >= 0.001}


def traced(scenario, peer, requests):
    peer.rest()
    table = peer.place.folder / "strace"
    pids = [argument for pid in peer.pids() for argument in ("-p", str(pid))]
    command = ["strace", "-c", "-f", "-o", str(table), *pids]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in strace.stderr:
        if "attached" in line:
            break
    time.sleep(0.5)
    try:
        scenario.fixed(peer, requests)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=30)
    rows = (line.split() for line in table.read_text().splitlines())
    counts = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit()}
    counts.pop("total", None)
    eagain = sum(int(row.split()[4]) for row in table.read_text().splitlines()
                 if len(row.split()) == 6 and row.split()[-1] in ("read", "readv", "recvfrom", "recvmsg"))
    return {**counts, "(failed reads)": eagain}


def instructions(scenario, peer, few=1_000, many=5_000, connections=8):
    """User instructions per request under callgrind, where 8 connections carry them."""
    peer.stop()
    profile = peer.place.folder / f"{scenario.name}.callgrind"
    peer.start(["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"])
    try:
        scenario.fixed(peer, few, min(connections, scenario.connections))
        totals = []
        for requests in (few, many):
            subprocess.run(["callgrind_control", "-z", str(peer.process.pid)], check=True, capture_output=True)
            scenario.fixed(peer, requests, min(connections, scenario.connections))
            before = set(profile.parent.glob(f"{profile.name}.*"))
            subprocess.run(["callgrind_control", "-d", str(peer.process.pid)], check=True, capture_output=True)
            dumps = set(profile.parent.glob(f"{profile.name}.*")) - before
            found = [re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.M) for dump in dumps]
            totals.append(sum(int(total[1]) for total in found if total))
    finally:
        peer.stop()
        peer.start()
    return round((totals[1] - totals[0]) / (many - few))


def idle_memory(peer, connections=IDLE_CONNECTIONS):
    """Resident bytes per TLS connection that has had one answer and waits, in a fresh process."""
    peer.stop()
    peer.start()
    client = trusting()
    kept = [asked(peer, client)]
    before = peer.rss()
    try:
        kept += [asked(peer, client) for _ in range(connections)]
        time.sleep(1)
        return round((peer.rss() - before) / connections)
    finally:
        for connection in kept:
            connection.close()


def asked(peer, client):
    connection = client.wrap_socket(socket.create_connection(("127.0.0.1", peer.tls), 10), server_hostname="localhost")
    connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"xxxx"):
        piece = connection.recv(4096)
        if not piece:
            raise SystemExit(f"bench/run: {peer.name} closed an idle connection")
        answer += piece
    return connection
