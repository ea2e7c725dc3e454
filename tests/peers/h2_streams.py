"""HTTP/2 by the h2 package on asyncio, as client or as server: streams that are read and written, windows respected."""

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (ConnectionTerminated, DataReceived, RemoteSettingsChanged, RequestReceived, ResponseReceived, StreamEnded,
                       StreamReset, WindowUpdated)
from h2.settings import SettingCodes, Settings


CONNECTION_WINDOW = 16 << 20


class StreamFailed(Exception):
    """The stream was reset, or its connection was lost."""


class Connection(asyncio.Protocol):
    """One connection; a server gets `serve(stream)` called for each request."""

    def __init__(self, serve=None, settings=None):
        self.http = H2Connection(H2Configuration(client_side=serve is None, header_encoding="utf-8"))
        self.serve, self.settings = serve, settings or {}
        self.streams, self.tasks = {}, set()
        self.greeted = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        if self.settings:
            # Those that are set later are no part of the first frame.
            self.http.local_settings = Settings(client=self.serve is None, initial_values=self.settings)
        self.http.initiate_connection()
        # Room for many streams, of which each may be full.
        self.http.increment_flow_control_window(CONNECTION_WINDOW)
        self.flush()

    def data_received(self, received):
        for event in self.http.receive_data(received):
            self.take(event)
        self.flush()

    def connection_lost(self, error):
        for stream in self.streams.values():
            stream.fail(f"connection lost: {error}")

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case RemoteSettingsChanged():
                if not self.greeted.done():
                    self.greeted.set_result(self.http.remote_settings)
                self.wake_writers()
            case RequestReceived():
                stream = self.streams[event.stream_id] = Stream(self, event.stream_id)
                stream.came.set_result(dict(event.headers))
                task = asyncio.ensure_future(self.serve(stream))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            case ResponseReceived():
                stream.came.set_result(dict(event.headers))
            case DataReceived():
                stream.pieces.put_nowait((event.data, event.flow_controlled_length))
            case StreamEnded():
                stream.pieces.put_nowait((None, 0))
            case StreamReset():
                stream.fail(f"reset with {ErrorCodes(event.error_code).name}")
            case WindowUpdated():
                self.wake_writers()
            case ConnectionTerminated():
                self.connection_lost(f"goaway {event.error_code}")

    def wake_writers(self):
        for stream in self.streams.values():
            stream.writable.set()

    def flush(self):
        self.transport.write(self.http.data_to_send())

    def request(self, fields, end=False):
        """Opens a stream with these header fields."""
        if self.transport.is_closing():
            raise StreamFailed("the connection is closed")
        number = self.http.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number)
        self.http.send_headers(number, fields, end_stream=end)
        self.flush()
        return stream


class Stream:
    """One stream. `came` is the other side's header fields, once they are there."""

    def __init__(self, connection, number):
        self.connection, self.number, self.failure = connection, number, None
        self.came = asyncio.get_running_loop().create_future()
        self.pieces, self.writable = asyncio.Queue(), asyncio.Event()

    def respond(self, fields, end=False):
        self.connection.http.send_headers(self.number, fields, end_stream=end)
        self.connection.flush()

    async def read(self):
        """The next bytes, `None` at the end. Only what was read gives room for more."""
        if self.failure and self.pieces.empty():
            raise StreamFailed(self.failure)
        piece, room = await self.pieces.get()
        if isinstance(piece, StreamFailed):
            raise piece
        if room and not self.failure:
            self.connection.http.acknowledge_received_data(room, self.number)
            self.connection.flush()
        return piece

    async def write(self, piece, end=False):
        """Writes it all as the windows allow."""
        http, at = self.connection.http, 0
        while at < len(piece) or end:
            if self.failure:
                raise StreamFailed(self.failure)
            room = min(http.local_flow_control_window(self.number), http.max_outbound_frame_size, len(piece) - at)
            if room <= 0 < len(piece) - at:
                self.writable.clear()
                await self.writable.wait()
                continue
            last = end and at + room == len(piece)
            http.send_data(self.number, piece[at:at + room], end_stream=last)
            self.connection.flush()
            at += room
            if last:
                return

    def reset(self, code=ErrorCodes.CANCEL):
        if not self.failure:
            self.connection.http.reset_stream(self.number, code)
            self.connection.flush()
            self.fail("reset here")

    def fail(self, why):
        self.failure = why
        self.pieces.put_nowait((StreamFailed(why), 0))
        self.writable.set()
        if not self.came.done():
            self.came.set_exception(StreamFailed(why))
            # Nobody may ask for it.
            self.came.exception()


# What a server says that takes WebSockets on streams (RFC 8441).
TAKES_TUNNELS = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
