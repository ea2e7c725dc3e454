"""WebSockets over HTTP/1.1 and over HTTP/2 (RFC 8441), straight and through the gateway to backends of both: what each sees."""

import asyncio
import hashlib
import json
import sys
import time

from ground import HERE, Ground, compare
from h2_streams import StreamFailed
from websocket_clients import Http1, Http2, Refused
from websocket_sockets import Closed

MEBIBYTE = 1 << 20
# A stream that is not read must not hold up its neighbours: what waits there is far more than any window.
FLOOD = {"count": 64, "size": MEBIBYTE}


async def main():
    with Ground() as ground:
        h1, h2 = ground.python("websocket_rooms.py", "h1"), ground.python("websocket_rooms.py", "h2")
        asgi = hypercorn(ground)
        to_h1 = ground.gateway(f"""
[[route]]
pool = ["http://127.0.0.1:{h1.port}"]
""")
        to_h2 = ground.gateway(f"""
[[route]]
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{h2.port}"] }}
""")
        clients = {
            "HTTP/1.1 straight": Http1(h1.port),
            "HTTP/2 straight": Http2(h2.port),
            "HTTP/1.1 by the gateway to HTTP/1.1": Http1(to_h1.port, ground.ca),
            "HTTP/2 by the gateway to HTTP/1.1": Http2(to_h1.port, ground.ca),
            "HTTP/1.1 by the gateway to HTTP/2": Http1(to_h2.port, ground.ca),
            "HTTP/2 by the gateway to HTTP/2": Http2(to_h2.port, ground.ca),
        }
        compare({name: await Matrix(name, client).run() for name, client in clients.items()})
        to_hypercorn = ground.gateway(f"""
[[route]]
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{asgi}"] }}
""")
        clients = {
            "hypercorn straight": Http2(asgi, reconnects=True),
            "HTTP/2 by the gateway to hypercorn": Http2(to_hypercorn.port, ground.ca),
            "HTTP/1.1 by the gateway to hypercorn": Http1(to_hypercorn.port, ground.ca),
        }
        compare({name: await Matrix(name, client).run_in_turns() for name, client in clients.items()})


def hypercorn(ground):
    """The port of a hypercorn, which takes HTTP/2 with prior knowledge and WebSockets on its streams."""
    command = ("-m", "hypercorn", "--bind", "127.0.0.1:0")
    process = ground.start("hypercorn", sys.executable, *command, f"{HERE}/websocket_asgi.py:application")
    return int(process.wait_for(r"Running on http://127\.0\.0\.1:(\d+)")[1])


class Matrix:
    """All the cases of one client; `run` returns what each ended in."""

    def __init__(self, name, client):
        self.name, self.client, self.results = name, client, {}

    async def run(self):
        return await self.take(self.echoes, self.turns, self.order, self.both_ways_at_once, self.pushes, self.closes_by_client,
                               self.closes_by_server, self.ends_without_a_word, self.requests, self.refusals, self.crowd,
                               self.neighbours)

    async def run_in_turns(self):
        """What hypercorn can do, whose HTTP/2 waits for itself when both sides write much at once."""
        return await self.take(self.echoes, self.turns)

    async def take(self, *parts):
        started = time.monotonic()
        for part in parts:
            try:
                await asyncio.wait_for(part(), 60)
            except (Closed, Refused, StreamFailed, asyncio.TimeoutError) as end:
                self.results[part.__name__] = f"broke off: {type(end).__name__} {end}"
        await self.client.close()
        print(f"{self.name}: {len(self.results)} cases, {time.monotonic() - started:.1f} s")
        return self.results

    async def echoes(self):
        socket, _ = await self.client.open("/echo")
        for size in (0, 1, 125, 126, 65535, 65536, MEBIBYTE, 16 * MEBIBYTE):
            for message in ("x" * size, bytes(range(256)) * (size // 256) + b"y" * (size % 256)):
                await socket.send(message)
                self.results[f"{type(message).__name__} of {size} comes back"] = await socket.receive() == message
        await socket.send(["four ", "frag", "", "ments ✓"])
        self.results["fragments"] = await socket.receive()
        await socket.ping(b"payload")
        await socket.close()

    async def order(self):
        socket, _ = await self.client.open("/echo")
        for number in range(1000):
            await socket.send(str(number))
        self.results["1000 in order"] = [await socket.receive() for _ in range(1000)] == [str(number) for number in range(1000)]
        await socket.close()

    async def turns(self):
        socket, _ = await self.client.open("/echo")
        for number in range(500):
            await socket.send(str(number))
            assert await socket.receive() == str(number)
        self.results["500 turns"] = True
        await socket.close()

    async def both_ways_at_once(self):
        socket, _ = await self.client.open("/echo")

        async def write():
            for number in range(32):
                await socket.send(bytes([number]) * MEBIBYTE)

        writing, seen = asyncio.ensure_future(write()), hashlib.sha256()
        for _ in range(32):
            seen.update(await socket.receive())
        await writing
        self.results["32 MiB both ways at once"] = seen.hexdigest()
        await socket.close()

    async def pushes(self):
        for count, size in ((0, 4), (5000, 4), (64, MEBIBYTE)):
            socket, _ = await self.client.open(f"/push?count={count}&size={size}")
            self.results[f"{count} of {size} pushed"] = await drain(socket)

    async def closes_by_client(self):
        for code, reason in ((1000, ""), (1001, "leaving"), (3000, "reason ✓"), (4999, "r" * 123)):
            name = f"{self.name} {code}"
            socket, _ = await self.client.open(f"/remember?name={quote(name)}")
            await socket.receive()
            await socket.close(code, reason)
            self.results[f"closed by the client with {code}"] = await self.end(name)

    async def closes_by_server(self):
        for code, reason in ((1000, ""), (1001, "leaving"), (1011, "broken"), (4000, "reason ✓"), (4999, "r" * 123)):
            socket, _ = await self.client.open(f"/close?code={code}&reason={quote(reason)}")
            await socket.send("now")
            self.results[f"closed by the server with {code}"] = await drain(socket)

    async def ends_without_a_word(self):
        socket, _ = await self.client.open("/vanish")
        await socket.send("now")
        self.results["the server vanishes"] = await drain(socket)
        name = f"{self.name} vanished"
        socket, _ = await self.client.open(f"/remember?name={quote(name)}")
        await socket.receive()
        started = time.monotonic()
        socket.vanish()
        self.results["the client vanishes"] = await self.end(name), "at once" if time.monotonic() - started < 1 else "late"

    async def end(self, name):
        """How the socket of that name ended, as the server saw it."""
        socket, _ = await self.client.open(f"/end?name={quote(name)}")
        return json.loads(await socket.receive())

    async def requests(self):
        fields = {"Origin": "https://example.com", "Cookie": "a=1; b=2", "X-Probe": "here"}
        socket, chosen = await self.client.open("/request?a=1&b=%20%2B", fields, ["other", "probe.v1", "probe.v2"])
        self.results["what the server sees"] = json.loads(await socket.receive())
        self.results["the subprotocol"] = chosen
        socket, chosen = await self.client.open("/request", None, ["probe.v1"])
        self.results["another subprotocol"] = chosen, await drain(socket)

    async def refusals(self):
        try:
            await self.client.open("/refuse")
        except Refused as refusal:
            self.results["refused"] = refusal.args

    async def crowd(self):
        """Many sockets that take turns."""
        sockets = [(await self.client.open("/echo"))[0] for _ in range(80)]
        for turn in range(10):
            for number, socket in enumerate(sockets):
                await socket.send(f"{turn} {number}")
            for number, socket in enumerate(sockets):
                assert await socket.receive() == f"{turn} {number}"
        await asyncio.gather(*(socket.close() for socket in sockets))
        self.results["80 at once"] = True

    async def neighbours(self):
        flooded, _ = await self.client.open(f"/push?count={FLOOD['count']}&size={FLOOD['size']}")
        neighbour, _ = await self.client.open("/echo")
        for number in range(100):
            await neighbour.send(str(number))
            assert await neighbour.receive() == str(number)
        self.results["one that is not read"] = await drain(flooded)
        await neighbour.close()


async def drain(socket):
    """Everything until the end, and the end."""
    count, seen = 0, hashlib.sha256()
    try:
        while True:
            message = await socket.receive()
            count += 1
            seen.update(message.encode() if isinstance(message, str) else message)
    except Closed as end:
        return f"{count} messages, {seen.hexdigest()[:16]}, then {end.code} {end.reason}"


def quote(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


if __name__ == "__main__":
    asyncio.run(main())
