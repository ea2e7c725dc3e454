"""A WebSocket as the servers and clients here see it, whether it is an HTTP/1.1 connection or an HTTP/2 stream."""

import asyncio

from websockets.exceptions import ConnectionClosed
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import RemoteProtocolError

from h2_streams import StreamFailed


class Closed(Exception):
    """The socket has ended: with the code and the reason of a closing handshake, or 1006 without one (RFC 6455 §7.1.5)."""

    def __init__(self, code, reason=""):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class OnConnection:
    """What the `websockets` package made of a connection."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, message):
        """A message; a list is one in so many fragments."""
        try:
            await self.socket.send(message)
        except ConnectionClosed as end:
            raise closed(end) from None

    async def receive(self):
        try:
            return await self.socket.recv()
        except ConnectionClosed as end:
            raise closed(end) from None

    async def ping(self, payload):
        await (await self.socket.ping(payload))

    async def close(self, code=1000, reason=""):
        await self.socket.close(code, reason)

    def vanish(self):
        """Goes without a word."""
        self.socket.transport.abort()


def closed(end):
    return Closed(end.rcvd.code, end.rcvd.reason) if end.rcvd else Closed(1006)


class OnStream:
    """WebSocket frames on an HTTP/2 stream (RFC 8441 §5)."""

    def __init__(self, stream, is_client):
        self.stream, self.is_client = stream, is_client
        self.frames = Connection(ConnectionType.CLIENT if is_client else ConnectionType.SERVER)
        # As in the `websockets` package: when so many wait to be received, no more is read.
        self.messages, self.pongs, self.pieces = asyncio.Queue(16), asyncio.Queue(), []
        self.end, self.is_answered = None, asyncio.Event()
        self.reading = asyncio.ensure_future(self.read())

    async def read(self):
        end = Closed(1006)
        try:
            while (piece := await self.stream.read()) is not None:
                if piece and self.frames.state is not ConnectionState.CLOSED:
                    self.frames.receive_data(piece)
                for event in self.frames.events():
                    end = await self.take(event) or end
            if self.is_client:
                await self.stream.write(b"", end=True)
        except (StreamFailed, RemoteProtocolError):
            pass
        self.end = end
        await self.messages.put(None)
        self.pongs.put_nowait(None)

    async def take(self, event):
        match event:
            case Message():
                self.pieces.append(event.data)
                if event.message_finished:
                    await self.messages.put(type(event.data)().join(self.pieces))
                    self.pieces = []
            case Ping():
                await self.stream.write(self.frames.send(event.response()))
            case Pong():
                self.pongs.put_nowait(bytes(event.payload))
            case CloseConnection():
                if not self.is_answered.is_set():
                    self.is_answered.set()
                    await self.stream.write(self.frames.send(event.response()))
                # As with TCP (RFC 6455 §7.1.1), the server is the first to end what is beneath.
                if not self.is_client:
                    await self.stream.write(b"", end=True)
                return Closed(event.code, event.reason or "")

    async def send(self, message):
        fragments = message if isinstance(message, list) else [message]
        for number, fragment in enumerate(fragments, 1):
            kind = TextMessage if isinstance(fragment, str) else BytesMessage
            piece = self.frames.send(kind(data=fragment, message_finished=number == len(fragments)))
            try:
                await self.stream.write(piece)
            except StreamFailed:
                raise self.end or Closed(1006) from None

    async def receive(self):
        message = await self.messages.get()
        if message is None:
            self.messages.put_nowait(None)
            raise self.end
        return message

    async def ping(self, payload):
        await self.stream.write(self.frames.send(Ping(payload=payload)))
        if await self.pongs.get() != payload:
            raise Closed(1006)

    async def close(self, code=1000, reason=""):
        if not self.is_answered.is_set() and self.end is None:
            self.is_answered.set()
            await self.stream.write(self.frames.send(CloseConnection(code=code, reason=reason)))
        await self.reading

    def vanish(self):
        self.stream.reset()
