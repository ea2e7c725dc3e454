"""The two ways to a WebSocket: HTTP/1.1 by the `websockets` package, and a stream of HTTP/2 by extended CONNECT (RFC 8441)."""

import asyncio
import ssl

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from h2_streams import Connection
from websocket_sockets import OnConnection, OnStream


class Refused(Exception):
    """An answer that is no WebSocket: its status and its body."""


def trusting(ca, protocol):
    client = ssl.create_default_context(cafile=ca)
    client.set_alpn_protocols([protocol])
    return client


class Http1:
    """A connection for each socket."""

    def __init__(self, port, ca=None, compression="deflate"):
        self.url = f"{'wss' if ca else 'ws'}://localhost:{port}"
        self.options = {"ssl": trusting(ca, "http/1.1")} if ca else {}
        self.options |= {"compression": compression, "max_size": None, "ping_interval": None, "proxy": None, "host": "127.0.0.1"}

    async def open(self, target, fields=None, subprotocols=None):
        """The socket and the subprotocol that was chosen."""
        try:
            socket = await connect(self.url + target, additional_headers=fields, subprotocols=subprotocols, **self.options)
        except InvalidStatus as refusal:
            raise Refused(refusal.response.status_code, bytes(refusal.response.body)) from None
        return OnConnection(socket), socket.subprotocol

    async def close(self):
        pass


class Http2:
    """One connection for all sockets."""

    def __init__(self, port, ca=None, reconnects=False):
        self.port, self.ca, self.reconnects, self.connection = port, ca, reconnects, None

    async def connect(self):
        trust = {"ssl": trusting(self.ca, "h2"), "server_hostname": "localhost"} if self.ca else {}
        loop = asyncio.get_running_loop()
        _, self.connection = await loop.create_connection(Connection, "127.0.0.1", self.port, **trust)
        settings = await asyncio.wait_for(self.connection.greeted, 10)
        if settings.enable_connect_protocol != 1:
            raise SystemExit("no SETTINGS_ENABLE_CONNECT_PROTOCOL from the server")

    async def open(self, target, fields=None, subprotocols=None):
        if self.connection is None or self.reconnects and self.connection.transport.is_closing():
            await self.connect()
        stream = self.connection.request(self.head(target, fields, subprotocols))
        came = await stream.came
        if came[":status"] != "200":
            body = b""
            while (piece := await stream.read()) is not None:
                body += piece
            raise Refused(int(came[":status"]), body)
        return OnStream(stream, is_client=True), came.get("sec-websocket-protocol")

    def head(self, target, fields=None, subprotocols=None):
        offered = [("sec-websocket-protocol", ", ".join(subprotocols))] if subprotocols else []
        return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", target),
                (":authority", f"localhost:{self.port}"), ("sec-websocket-version", "13"), *offered,
                *[(name.lower(), value) for name, value in (fields or {}).items()]]

    async def close(self):
        if self.connection:
            self.connection.transport.close()
