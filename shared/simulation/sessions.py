"""A client's side of the simulated PostgreSQL: connections and their pool, as asyncpg's are to the machine."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from shared.simulation.loop import PROCESS

if TYPE_CHECKING:
    from shared.simulation.postgres import Postgres, Session


class Asked:
    """A statement under way."""

    __slots__ = ("answer", "args", "over", "what")

    def __init__(self, what: str, args: Sequence[Any], answer: "asyncio.Future[Any]") -> None:
        """`answer`: what its user waits for."""
        self.what, self.args, self.answer, self.over = what, args, answer, False


class Connection:
    """One connection."""

    def __init__(self, server: "Postgres", session: "Session") -> None:
        """`session`: its other end."""
        self._server, self._session = server, session
        self._closed = False
        self._left: Asked | None = None
        """What its user did not wait for."""
        if (process := PROCESS.get(None)) is not None:
            process.at_end(lambda: server.lingers(session))

    def is_closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._closed

    def get_server_pid(self) -> int:
        """The process of the server at its other end."""
        return self._session.pid

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """All rows."""
        rows = await self._ask(query, args)
        return rows if rows is not None else []

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row; None where there is none."""
        rows = await self._ask(query, args)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first row's first value; None where there is none."""
        row = await self.fetchrow(query, *args)
        return None if row is None else next(iter(row.values()))

    async def execute(self, query: str, *args: Any) -> str:
        """Does it."""
        await self._ask(query, args)
        return "DONE"

    async def executemany(self, query: str, args: Iterable[Sequence[Any]]) -> None:
        """Does it with each of these parameters."""
        for one in args:
            await self._ask(query, one)

    async def copy_records_to_table(self, table: str, *, records: Iterable[Sequence[Any]], columns: Sequence[str] | None = None) -> str:
        """Writes rows that must not be there yet."""
        await self._ask("COPY", (table, columns, list(records)))
        return "COPY"

    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        """Everything, or nothing."""
        await self._ask("BEGIN", ())
        try:
            yield
        except BaseException:
            await self._ask("ROLLBACK", ())
            raise
        await self._ask("COMMIT", ())

    async def reset(self) -> None:
        """Out of any transaction: what a pool does when it gets one back. Nothing else of a session is ever changed."""
        await self._wait_out()
        if self._session.transaction is not None:
            await self._ask("ROLLBACK", ())

    def terminate(self) -> None:
        """Closed without a word."""
        if not self._closed:
            self._closed = True
            self._server.lingers(self._session)

    async def _ask(self, what: str, args: Sequence[Any]) -> Any:
        server, loop = self._server, self._server.loop
        await self._wait_out()
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        asked = Asked(what, args, loop.create_future())
        loop.in_the_world(server.delay(), server.receive, self._session, asked)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            self._left = asked
            loop.in_the_world(server.delay(), server.cancel, self._session, asked)
            raise
        except asyncpg.ConnectionDoesNotExistError:
            self._closed = True
            raise

    async def _wait_out(self) -> None:
        """Somebody may have been cancelled while it waited: what it asked comes to its end first."""
        if self._left is None:
            return
        if not self._left.over:
            waiting = self._left.answer = self._server.loop.create_future()
            with suppress(asyncpg.PostgresError):
                await waiting
        self._left = None


class Pool:
    """Some connections, made when they are needed."""

    def __init__(self, server: "Postgres", service: str, connections: int) -> None:
        """`connections`: at most so many."""
        self._server, self._service = server, service
        self._free = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []
        self._all: list[Connection] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """One of them, for as long as the block lasts. Raises OSError where the server is away."""
        async with self._free:
            connection = await self._one()
            try:
                yield connection
            finally:
                await self._release(connection)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args)

    def terminate(self) -> None:
        """All are closed without a word."""
        for connection in self._all:
            connection.terminate()

    async def _one(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed() and connection._session.alive:  # noqa: SLF001 - a socket tells when its other end is closed
                return connection
            self._all.remove(connection)
        await asyncio.sleep(self._server.delay() + self._server.delay())
        connection = Connection(self._server, self._server.open(self._service))
        self._all.append(connection)
        return connection

    async def _release(self, connection: Connection) -> None:
        if connection.is_closed():
            self._all.remove(connection)
            return
        try:
            await connection.reset()
        except BaseException:
            connection.terminate()
            self._all.remove(connection)
            raise
        self._idle.append(connection)
