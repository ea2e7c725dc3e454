"""A gRPC service whose messages are plain bytes, so that no code is generated. Says `listening PORT`.

    grpc_service.py [CERTIFICATE KEY]     with both it speaks TLS"""

import asyncio
import hashlib
import json
import sys
import time

import grpc
from grpc import StatusCode, aio

CODES = {code.value[0]: code for code in StatusCode}

# When the calls that wait to be cancelled learned of it, by the name that the caller gave them. CLOCK_MONOTONIC, which
# the caller on this machine reads as well.
cancelled = {}


async def echo(message, context):
    return message


async def metadata(message, context):
    """Sends what came under names beginning with `probe-` back, ahead of the answer and behind it."""
    came = [(key, value) for key, value in context.invocation_metadata() if key.startswith("probe-")]
    await context.send_initial_metadata([("initial-" + key, value) for key, value in came])
    context.set_trailing_metadata([("trailing-" + key, value) for key, value in came])
    return message


async def download(message, context):
    wanted = json.loads(message)
    for number in range(wanted["count"]):
        yield bytes([number % 256]) * wanted["size"]


async def upload(messages, context):
    count, digest = 0, hashlib.sha256()
    async for message in messages:
        count += 1
        digest.update(message)
    return f"{count} {digest.hexdigest()}".encode()


async def chat(messages, context):
    async for message in messages:
        yield message


async def status(message, context):
    """Ends with the wanted status, after so many messages; trailing metadata is wanted too where it is given."""
    wanted = json.loads(message)
    for number in range(wanted.get("after", 0)):
        yield str(number).encode()
    trailing = (("probe-why", "because"), ("probe-why-bin", bytes(range(256)))) if wanted.get("trailing") else ()
    if wanted["code"] == 0:
        context.set_details(wanted["details"])
        context.set_trailing_metadata(trailing)
    else:
        await context.abort(CODES[wanted["code"]], wanted["details"], trailing)


async def refuse_upload(messages, context):
    """Has enough after the first message, while the caller goes on."""
    async for _ in messages:
        await context.abort(StatusCode.FAILED_PRECONDITION, "enough")


async def remaining(message, context):
    """The seconds that are left until the caller's deadline, or `none`."""
    left = context.time_remaining()
    return b"none" if left is None else f"{left:.3f}".encode()


async def wait(message, context):
    """Says that it has begun, then waits to be cancelled and remembers when it was."""
    # The cancel may come as soon as the word is out, so that is inside as well.
    try:
        yield b"begun"
        await asyncio.get_running_loop().create_future()
    finally:
        moment(message.decode()).set_result(time.monotonic())


async def wait_for_messages(messages, context):
    """The same in both directions; the first message is the name."""
    async for message in messages:
        async for word in wait(message, context):
            yield word


async def when_cancelled(message, context):
    """When the call of that name was cancelled; waits for it."""
    return repr(await moment(message.decode())).encode()


def moment(name):
    return cancelled.setdefault(name, asyncio.get_running_loop().create_future())


async def check(message, context):
    """grpc.health.v1.Health/Check: of the services that it knows one is well."""
    states = {b"\x0a\x0bpeers.Probe": b"\x08\x01", b"": b"\x08\x01", b"\x0a\x0apeers.Gone": b"\x08\x02"}
    if message not in states:
        await context.abort(StatusCode.NOT_FOUND, "no such service")
    return states[message]


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "Download": grpc.unary_stream_rpc_method_handler(download),
    "Upload": grpc.stream_unary_rpc_method_handler(upload),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Status": grpc.unary_stream_rpc_method_handler(status),
    "RefuseUpload": grpc.stream_unary_rpc_method_handler(refuse_upload),
    "Remaining": grpc.unary_unary_rpc_method_handler(remaining),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
    "WaitForMessages": grpc.stream_stream_rpc_method_handler(wait_for_messages),
    "WhenCancelled": grpc.unary_unary_rpc_method_handler(when_cancelled),
}


async def main(pair):
    server = aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
                        compression=grpc.Compression.Gzip)
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("peers.Probe", METHODS),
                                     grpc.method_handlers_generic_handler("grpc.health.v1.Health", health)])
    if pair:
        certificate, key = (open(file, "rb").read() for file in pair)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening {port}")
    await server.wait_for_termination()


asyncio.run(main(sys.argv[1:]))
