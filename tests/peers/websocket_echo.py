"""A WebSocket server that sends every message back, on TCP or on the unix socket that it is given. Says `listening PORT`.

wsproto turns bytes into events without any I/O, so what it answers depends on the bytes alone and not on how they are cut
or timed; a verdict about it is the same every time."""

import asyncio

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Message, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.transport = transport
        self.conversation = WSConnection(ConnectionType.SERVER)
        self.pieces = []

    def data_received(self, received):
        try:
            self.conversation.receive_data(received)
            for event in self.conversation.events():
                self.take(event)
        except RemoteProtocolError as error:
            if error.event_hint is not None:
                self.say(error.event_hint)
            self.transport.close()

    def take(self, event):
        match event:
            case Request():
                self.say(AcceptConnection())
            case Message():
                self.pieces.append(event.data)
                if event.message_finished:
                    kind = TextMessage if isinstance(event, TextMessage) else BytesMessage
                    self.say(kind(data=type(event.data)().join(self.pieces)))
                    self.pieces = []
            case Ping():
                self.say(event.response())
            case CloseConnection():
                self.say(event.response())
                self.transport.close()

    def say(self, event):
        self.transport.write(self.conversation.send(event))


async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print(f"listening {server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


asyncio.run(main())
