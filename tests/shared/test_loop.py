"""What a process of ours runs on."""

import asyncio
import socket
import struct

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from shared.loop import lost_connections_say_so


async def lost_before_it_is_noticed():
    """A connection that was reset, and of which its reader does not know yet."""

    async def reset(_, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    told = []
    connection = AIOKafkaConnection(*server.sockets[0].getsockname(), on_close=lambda _, reason: told.append(reason))
    connection._do_version_lookup = lambda: asyncio.sleep(0)
    await connection.connect()
    while not connection._reader.exception():  # noqa: ASYNC110 - between two turns of the loop
        await asyncio.sleep(0)
    assert connection.connected()
    return connection, told


def test_who_writes_to_a_connection_that_was_just_lost_is_told_so(monkeypatch):
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send)

    async def lost():
        connection, told = await lost_before_it_is_noticed()
        if not hasattr(AIOKafkaConnection.send, "__wrapped__"):
            with pytest.raises(RuntimeError):  # where this no longer fails, lost_connections_say_so may go
                connection.send(ApiVersionRequest())
        lost_connections_say_so()
        with pytest.raises(KafkaConnectionError):
            await connection.send(ApiVersionRequest())
        assert told
        assert not connection.connected()

    uvloop.run(lost())
