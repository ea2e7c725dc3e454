"""gRPC by grpcio, straight and through the gateway: every kind of call, and what each ends in."""

import asyncio
import hashlib
import json
import time

import grpc
from grpc import StatusCode, aio

from ground import Ground, compare, free_port

MEBIBYTE = 1 << 20
# From the caller's cancel to the backend's knowing of it.
CANCEL_WITHIN = 0.1
# How health is probed: of those that serve without haste, since the matrix keeps them busy.
QUICK = 'interval = "1s", timeout = "1s", fall = 1'
PATIENT = 'interval = "10s", timeout = "10s", fall = 1'
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def main():
    with Ground() as ground:
        plain = ground.python("grpc_service.py")
        secured = ground.python("grpc_service.py", ground.certificate, ground.key)
        gateway = ground.gateway(f"""
[[route]]
name = "h2c"
path = "/peers.Probe/*"
header = {{ "leg" = "h2c" }}
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{plain.port}"], health = {{ kind = "grpc", {PATIENT} }} }}
[[route]]
name = "h2"
path = "/peers.Probe/*"
header = {{ "leg" = "h2" }}
pool = {{ protocol = "h2", backends = ["https://localhost:{secured.port}"], tls = {{ ca = "{ground.ca}" }}, health = {{ kind = "grpc", service = "peers.Probe", {PATIENT} }} }}
[[route]]
path = "/peers.Down/*"
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{free_port()}"] }}
[[route]]
name = "gone"
path = "/peers.Gone/*"
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{plain.port}"], health = {{ kind = "grpc", service = "peers.Gone", {QUICK} }} }}
[[route]]
name = "unknown"
path = "/peers.Unknown/*"
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{plain.port}"], health = {{ kind = "grpc", service = "peers.Unknown", {QUICK} }} }}
""")
        gateway.wait_for_event("backend is down", pool="gone", reason="NOT_SERVING")
        gateway.wait_for_event("backend is down", pool="unknown", reason="grpc-status NOT_FOUND")
        trust = grpc.ssl_channel_credentials(ground.ca.read_bytes())
        channels = {
            "straight": aio.insecure_channel(f"127.0.0.1:{plain.port}", OPTIONS),
            "straight over TLS": aio.secure_channel(f"localhost:{secured.port}", trust, OPTIONS),
            "by the gateway to h2c": aio.secure_channel(f"localhost:{gateway.port}", trust, OPTIONS),
            "by the gateway to h2 over TLS": aio.secure_channel(f"localhost:{gateway.port}", trust, OPTIONS),
        }
        legs = {"by the gateway to h2c": "h2c", "by the gateway to h2 over TLS": "h2"}
        columns = {name: await Matrix(name, channel, legs.get(name)).run() for name, channel in channels.items()}
        compare(columns)
        refusals(f"localhost:{gateway.port}", trust)
        down = [line for line in gateway.lines if '"backend is down"' in line]
        if len(down) != 2:
            raise SystemExit(f"backends that serve were probed and are down: {down}")
        for channel in channels.values():
            await channel.close()


class Matrix:
    """All the cases on one channel; `run` returns what each ended in."""

    def __init__(self, name, channel, leg):
        self.name, self.channel = name, channel
        self.metadata = [("leg", leg)] if leg else []
        self.results, self.latencies = {}, []

    async def run(self):
        started = time.monotonic()
        await self.messages()
        await self.metadata_and_compression()
        await self.statuses()
        await self.deadlines()
        await self.cancels()
        await self.crowd()
        worst = max(self.latencies) * 1000
        print(f"{self.name}: {len(self.results)} cases, {time.monotonic() - started:.1f} s, "
              f"cancels reach the backend within {worst:.1f} ms")
        if worst > CANCEL_WITHIN * 1000:
            raise SystemExit(f"{self.name}: a cancel took {worst:.0f} ms to the backend, at most {CANCEL_WITHIN * 1000:.0f} are right")
        return self.results

    def call(self, method, message, metadata=(), **options):
        """Begins a call; the kind of the method decides what `message` is."""
        kind = {"Echo": "unary_unary", "Metadata": "unary_unary", "Remaining": "unary_unary", "WhenCancelled": "unary_unary",
                "Download": "unary_stream", "Status": "unary_stream", "Wait": "unary_stream", "Upload": "stream_unary",
                "RefuseUpload": "stream_unary", "Chat": "stream_stream", "WaitForMessages": "stream_stream"}
        begin = getattr(self.channel, kind.get(method, "unary_unary"))(f"/peers.Probe/{method}")
        return begin(message, metadata=[*self.metadata, *metadata], **{"timeout": 60, **options})

    async def case(self, name, method, message, metadata=(), **options):
        """A call to its end, kept under the name."""
        self.results[name] = await outcome(self.call(method, message, metadata, **options))

    async def messages(self):
        for size in (0, 1, 1000, 16383, 16384, 65535, 65536, 100_000, MEBIBYTE, 4 * MEBIBYTE):
            await self.case(f"unary of {size} bytes", "Echo", pattern(size))
        for count, size in ((0, 0), (1, 0), (1, 10), (100, 10), (1000, 1), (16, 256 << 10), (4, 4 * MEBIBYTE)):
            wanted = json.dumps({"count": count, "size": size}).encode()
            await self.case(f"server stream of {count} times {size}", "Download", wanted)
            await self.case(f"client stream of {count} times {size}", "Upload", stream([pattern(size)] * count))
            await self.case(f"both streams of {count} times {size}", "Chat", stream([pattern(size)] * count))
        await self.case("a method that is not there", "Missing", b"")
        await self.case("the backend ends before the caller", "RefuseUpload", stream([pattern(1000)] * 1000))
        self.results["in turns"] = await self.in_turns(100)

    async def in_turns(self, count):
        """Each message is written only when the one before has come back, so nothing may be held anywhere."""
        call = self.call("Chat", None)
        for number in range(count):
            await call.write(b"%d" % number)
            if await call.read() != b"%d" % number:
                return f"wrong at {number}"
        await call.done_writing()
        return f"{count} turns, then {await call.read()}, {await call.code()}"

    async def metadata_and_compression(self):
        # Below 8 KiB together with what the gateway adds: beyond that grpcio refuses some calls by chance.
        metadata = [("probe-one", "a value"), ("probe-two", "1"), ("probe-two", "2"), ("probe-empty", ""),
                    ("probe-odd", "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"), ("probe-long", "x" * 3000), ("probe-all-bin", bytes(range(256))),
                    ("probe-many-bin", b"1"), ("probe-many-bin", b"22"), ("probe-none-bin", b""), ("probe-long-bin", bytes(1500))]
        await self.case("metadata", "Metadata", b"with", metadata)
        await self.case("many metadata", "Metadata", b"with", [(f"probe-{number}", str(number)) for number in range(60)])
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression):
            await self.case(f"{compression.name} of a mebibyte", "Echo", bytes(MEBIBYTE), compression=compression)
            await self.case(f"{compression.name} stream", "Chat", stream([bytes(100_000)] * 20), compression=compression)

    async def statuses(self):
        for code in range(17):
            for after in (0, 2):
                wanted = {"code": code, "details": f"details of {code}", "after": after}
                await self.case(f"status {code} after {after}", "Status", json.dumps(wanted).encode())
        for name, details in {"no": "", "long": "long" * 500, "odd": "naïve ✓ 100% \t \n \x7f 'quoted'"}.items():
            for after in (0, 1):
                wanted = {"code": 13, "details": details, "after": after, "trailing": True}
                await self.case(f"{name} details, trailing metadata, after {after}", "Status", json.dumps(wanted).encode())
        wanted = {"code": 0, "details": "", "after": 1, "trailing": True}
        await self.case("trailing metadata of a good call", "Status", json.dumps(wanted).encode())

    async def deadlines(self):
        for seconds in (5, 30, 3000):
            left = float(await self.call("Remaining", b"", timeout=seconds))
            # It travels in whole units, rounded up.
            self.results[f"a deadline of {seconds} s"] = seconds - 2 < left <= seconds * 1.1
        self.results["no deadline"] = await self.call("Remaining", b"", timeout=None)
        name = f"{self.name}: deadline"
        await self.exceeded("deadline exceeded", "Wait", name)
        await self.call("WhenCancelled", name.encode())
        await self.exceeded("deadline exceeded before anything came", "WhenCancelled", f"{self.name}: never")

    async def exceeded(self, name, method, message):
        """The caller and the backend both watch the deadline, and word it in their own ways; only the code is the same."""
        self.results[name] = (await outcome(self.call(method, message.encode(), timeout=0.3)))["code"]

    async def cancels(self):
        for number in range(10):
            for method in ("Wait", "WaitForMessages"):
                name = f"{self.name}: {method} {number}".encode()
                call = self.call(method, name if method == "Wait" else None)
                if method == "WaitForMessages":
                    await call.write(name)
                begun = await call.read()
                cancelled = time.monotonic()
                call.cancel()
                seen = float(await self.call("WhenCancelled", name))
                self.latencies.append(seen - cancelled)
                self.results[f"{method} cancelled"] = f"{begun}, {await call.code()}"

    async def crowd(self):
        calls = [outcome(self.call("Echo", pattern(number))) for number in range(1000)]
        self.results["1000 calls at once"] = digest(await asyncio.gather(*calls))
        calls = [self.in_turns(20) for _ in range(90)]
        self.results["90 streams at once"] = digest(await asyncio.gather(*calls))


def refusals(target, trust):
    """What the gateway refuses by itself is said in gRPC's words, not in HTTP's that grpcio would have to translate.

    By the blocking client: the one for asyncio ends in an internal error of its own, straight as well, in one of six calls
    that are refused while they are still writing."""
    wanted = {"/peers.Nobody/Echo": StatusCode.UNIMPLEMENTED, "/peers.Down/Echo": StatusCode.UNAVAILABLE}
    with grpc.secure_channel(target, trust) as channel:
        for method, code in wanted.items():
            for kind, message in {"unary_stream": b"", "stream_stream": iter([b"1", b"2"])}.items():
                call = getattr(channel, kind)(method)(message, timeout=30)
                try:
                    list(call)
                except grpc.RpcError:
                    pass
                print(f"{method}, {kind}: {call.code().name}, {call.details()!r}")
                if call.code() is not code or "http2 header with status" in call.details():
                    raise SystemExit(f"{method} must be refused with {code.name}")


async def outcome(call):
    """All that a caller can see of a call that ended."""
    messages = []
    try:
        if hasattr(call, "__aiter__"):
            async for message in call:
                messages.append(message)
        else:
            messages.append(await call)
    except (grpc.RpcError, asyncio.CancelledError):
        pass
    return {
        "code": (await call.code()).name,
        "details": await call.details(),
        "messages": f"{len(messages)}: {digest(messages)}",
        "initial": plain(await call.initial_metadata()),
        "trailing": plain(await call.trailing_metadata()),
    }


def plain(metadata):
    """Without the date, which whoever forwards a response adds (RFC 9110 §6.6.1)."""
    return sorted((key, value) for key, value in metadata or () if key != "date")


def digest(things):
    return hashlib.sha256(repr(things).encode()).hexdigest()[:16]


def pattern(size):
    """Bytes that show it when some are missing, doubled or swapped."""
    return b"".join(b"%08x" % number for number in range(size // 8 + 1))[:size]


async def stream(messages):
    for message in messages:
        yield message


if __name__ == "__main__":
    asyncio.run(main())
