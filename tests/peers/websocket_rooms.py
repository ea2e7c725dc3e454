"""A WebSocket server whose path decides what it does, in HTTP/1.1 or (with `h2`) on HTTP/2 streams. Says `listening PORT`.

    websocket_rooms.py h1|h2"""

import asyncio
import http
import json
import sys
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import serve

from h2_streams import TAKES_TUNNELS, Connection
from websocket_sockets import Closed, OnConnection, OnStream

PROTOCOLS = ["probe.v2", "probe.v1"]
# How the sockets ended that were to be remembered, by the name that their client gave them.
ends = {}


async def room(socket, target, fields):
    """Does what the target asks for."""
    parts = urlsplit(target)
    wish = dict(parse_qsl(parts.query))
    match parts.path:
        case "/echo":
            await forever(socket, echo)
        case "/push":
            for number in range(int(wish["count"])):
                await socket.send(number.to_bytes(4, "big") * (int(wish["size"]) // 4))
            await socket.close()
        case "/close":
            await socket.receive()
            await socket.close(int(wish["code"]), wish.get("reason", ""))
        case "/vanish":
            await socket.receive()
            socket.vanish()
        case "/request":
            await socket.send(json.dumps({"target": target, "fields": fields}))
            await socket.close()
        case "/remember":
            await socket.send("ready")
            end(wish["name"]).set_result(await forever(socket, take))
        case "/end":
            await socket.send(json.dumps(await end(wish["name"])))
            await socket.close()


async def forever(socket, turn):
    """Takes turns until the socket has ended; how it did."""
    try:
        while True:
            await turn(socket)
    except Closed as end:
        return [end.code, end.reason]


async def echo(socket):
    await socket.send(await socket.receive())


async def take(socket):
    await socket.receive()


def end(name):
    return ends.setdefault(name, asyncio.get_running_loop().create_future())


def interesting(fields):
    """Of a request's header fields, those that arrive the same whatever the way."""
    return {name: fields.get(name) for name in ("origin", "cookie", "x-probe", "sec-websocket-protocol")}


async def on_connection(socket):
    try:
        await room(OnConnection(socket), socket.request.path, interesting(socket.request.headers))
    except Closed:
        pass


def refuse(connection, request):
    """An answer that is no WebSocket."""
    if request.path.startswith("/refuse"):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")


def choose(_, offered):
    """The subprotocol that is liked most, if any."""
    return next((name for name in PROTOCOLS if name in offered), None)


async def on_stream(stream):
    fields = await stream.came
    tunnel = fields.get(":method") == "CONNECT" and fields.get(":protocol") == "websocket"
    if not tunnel or fields.get("sec-websocket-version") != "13":
        return stream.respond([(":status", "400")], end=True)
    if fields[":path"].startswith("/refuse"):
        stream.respond([(":status", "403"), ("content-length", "8")])
        return await stream.write(b"not you\n", end=True)
    offered = [name.strip() for name in fields.get("sec-websocket-protocol", "").split(",")]
    chosen = choose(None, offered)
    stream.respond([(":status", "200"), *([("sec-websocket-protocol", chosen)] if chosen else [])])
    try:
        await room(OnStream(stream, is_client=False), fields[":path"], interesting(fields))
    except Closed:
        pass


async def main(version):
    if version == "h2":
        server = await asyncio.get_running_loop().create_server(lambda: Connection(on_stream, TAKES_TUNNELS), "127.0.0.1", 0)
    else:
        server = await serve(on_connection, "127.0.0.1", 0, process_request=refuse, select_subprotocol=choose, max_size=None,
                             ping_interval=None, subprotocols=PROTOCOLS)
    print(f"listening {next(iter(server.sockets)).getsockname()[1]}")
    await asyncio.get_running_loop().create_future()


asyncio.run(main(sys.argv[1]))
