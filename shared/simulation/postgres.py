"""A simulated PostgreSQL: sessions, transactions, row locks, time-outs, and all the ways in which a connection may be lost.

What a client asks arrives after a while, has its effect, and is answered after another while; the client may be killed or frozen
meanwhile, the session ended, the server killed, the answer lost: then nobody knows whether it had its effect. Statements are known one
by one (`tables.py`), so the machine's own store runs on it as it is.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from shared.simulation.loop import PROCESS, Loop, Process
from shared.simulation.sessions import Asked, Connection, Pool
from shared.simulation.statements import copy
from shared.simulation.tables import STATEMENTS, Place, Schema, Transaction

STATEMENT_TIMEOUT_SECONDS = 30.0
SILENCE_SECONDS = 2.0
"""As the machine's sessions ask for (store.SESSION)."""
LINGERS_SECONDS = 0.02
"""At most so long a killed client's session lives on."""


@dataclass(slots=True)
class Faults:
    """How likely what may go wrong is, each time; all are off to begin with."""

    lost_before: float = 0.0
    """The session ends before a statement has its effect."""
    lost_after: float = 0.0
    """It ends after the effect, before the answer: after a COMMIT nobody knows."""
    lost_commit: float = 0.0
    """The same of a COMMIT alone."""
    aborted: float = 0.0
    """A deadlock, or a serialization error: the transaction is undone."""
    disk_full: bool = False
    """Nothing can be written."""


@dataclass(eq=False)
class Session:
    """A connection as the server knows it."""

    pid: int
    schema: Schema
    client: Process | None
    """None for the world."""
    alive: bool = True
    transaction: Transaction | None = None
    failed: bool = False
    """A statement of the transaction went wrong: all that it may do now is to end."""
    locks: list[Place] = field(default_factory=list)
    waits_for: Place | None = None
    spoke: int = 0
    """Counted up with everything it is asked."""
    answers: list[Asked] = field(default_factory=list)
    """What its client waits for."""


class Postgres:
    """The server."""

    def __init__(self, loop: Loop, shards: int, services: Sequence[str], delay: Callable[[], float]) -> None:
        """Freshly installed.

        Args:
            loop: What it runs in.
            shards: Of the installation.
            services: Whose schemas it has.
            delay: Draws how many seconds something takes over the network, one way.
        """
        self.loop, self.delay = loop, delay
        self.schemas = {service: Schema(service, shards, "g1") for service in services}
        self.up = True
        self.skew = timedelta()
        """How far its clock is off."""
        self.faults = Faults()
        self.committed: Callable[[Session, Transaction], None] = lambda _, __: None
        """Called with every transaction that was committed and wrote something."""
        self.refused: list[str] = []
        """What primary keys had to refuse: in a machine that is right, nothing."""
        self.sessions: dict[int, Session] = {}
        self._holders: dict[tuple[str, Place], Session] = {}
        self._waiting: dict[tuple[str, Place], deque[tuple[Session, Callable[[], None]]]] = {}
        self._pids = 0

    async def connect(self, _: str, service: str, connections: int) -> Pool:
        """A pool of a process's connections: what `store.connect` is on a real one."""
        pool = Pool(self, service, connections)
        while True:
            try:
                async with pool.acquire():
                    return pool
            except OSError:
                await asyncio.sleep(0.2)

    def now(self) -> datetime:
        """Its clock."""
        return self.loop.now() + self.skew

    # ---- what happens to it ------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """The postmaster is killed: every session ends, what was not committed is not there."""
        self.up = False
        for session in list(self.sessions.values()):
            self.end(session)

    def start(self) -> None:
        """It is there again."""
        self.up = True

    def end(self, session: Session) -> None:
        """A session ends: its transaction is undone, its client hears of it with whatever it waits for."""
        if not session.alive:
            return
        session.alive = False
        self.sessions.pop(session.pid, None)
        self._over(session)
        if session.waits_for is not None:
            place = (session.schema.service, session.waits_for)
            self._waiting[place] = deque(one for one in self._waiting[place] if one[0] is not session)
        for asked in session.answers:
            self._answer(asked, None, _lost())
        session.answers.clear()

    def lingers(self, session: Session) -> None:
        """Its client was killed: the server hears of it when the network does."""
        self.loop.in_the_world(self.loop.random.random() * LINGERS_SECONDS, self.end, session)

    # ---- what it is asked --------------------------------------------------------------------------------------------------

    def open(self, service: str) -> Session:
        """A new session. Raises OSError."""
        if not self.up:
            raise ConnectionRefusedError("PostgreSQL is not there")
        self._pids += 1
        session = self.sessions[self._pids] = Session(self._pids, self.schemas[service], PROCESS.get(None))
        return session

    def receive(self, session: Session, asked: Asked) -> None:
        """A statement has arrived."""
        what, args = asked.what, asked.args
        if not session.alive:
            self._answer(asked, None, _lost())
            return
        session.spoke += 1
        session.answers.append(asked)
        faults, random = self.faults, self.loop.random
        if faults.lost_before and random.random() < faults.lost_before:
            self.end(session)
            return
        if faults.aborted and session.transaction is not None and what != "COMMIT" and random.random() < faults.aborted:
            self._failed(session, asked, asyncpg.DeadlockDetectedError("deadlock detected"))
            return
        statement = STATEMENTS.get(what)
        if statement is not None and statement.lock is not None and not session.failed:
            self._lock(session, statement.lock(*args), lambda: self._run(session, asked))
        else:
            self._run(session, asked)

    def cancel(self, session: Session, asked: Asked) -> None:
        """A client does not want to wait for this any more."""
        if session.alive and session.waits_for is not None and asked in session.answers:
            place = (session.schema.service, session.waits_for)
            self._waiting[place] = deque(one for one in self._waiting[place] if one[0] is not session)
            session.waits_for = None
            self._failed(session, asked, asyncpg.QueryCanceledError("canceling statement due to user request"))

    def _run(self, session: Session, asked: Asked) -> None:
        try:
            result = self._effect(session, asked.what, asked.args)
        except asyncpg.PostgresError as error:
            if isinstance(error, asyncpg.UniqueViolationError):
                self.refused.append(str(error))
            self._failed(session, asked, error)
            return
        if not session.alive:  # it ended itself
            return
        lost = max(self.faults.lost_after, self.faults.lost_commit if asked.what == "COMMIT" else 0.0)
        if lost and self.loop.random.random() < lost:
            self.end(session)
            return
        session.answers.remove(asked)
        self._answer(asked, result, None)
        if session.transaction is not None:
            self.loop.in_the_world(SILENCE_SECONDS, self._if_silent, session, session.spoke)

    def _effect(self, session: Session, what: str, args: Sequence[Any]) -> Any:
        if what == "ROLLBACK" or (what == "COMMIT" and session.failed):  # an aborted transaction is rolled back, without a word
            self._over(session)
            return None
        if session.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        if what == "BEGIN":
            session.transaction = Transaction(session.schema)
            return None
        if what == "COMMIT":
            assert session.transaction is not None, "only a transaction is committed"
            self._commit(session, session.transaction)
            self._over(session)
            return None
        alone = session.transaction is None
        transaction = session.transaction or Transaction(session.schema)
        result = self._statement(session, transaction, what, args)
        if alone:
            self._commit(session, transaction)
            self._over(session)
        return result

    def _statement(self, session: Session, transaction: Transaction, what: str, args: Sequence[Any]) -> Any:
        if what == "COPY":
            self._needs_room()
            return copy(transaction, *args)
        if what == _END_HOLDERS:
            return self._end_holders(*args)
        if what not in STATEMENTS:
            raise asyncpg.FeatureNotSupportedError(f"the simulation does not know this statement of {session.schema.service}: {what}")
        if STATEMENTS[what].writes:
            self._needs_room()
        return STATEMENTS[what].effect(transaction, self.now(), *args)

    def _needs_room(self) -> None:
        if self.faults.disk_full:
            raise asyncpg.DiskFullError("No space left on device")

    def _commit(self, session: Session, transaction: Transaction) -> None:
        if transaction.written:
            self._needs_room()
            transaction.commit()
            self.committed(session, transaction)

    def _end_holders(self, waiting: int) -> list[Any]:
        session = self.sessions.get(waiting)
        if session is not None and session.waits_for is not None:
            holder = self._holders.get((session.schema.service, session.waits_for))
            if holder is not None:
                self.end(holder)
        return []

    # ---- answers -----------------------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked, result: Any, error: Exception | None) -> None:
        self.loop.in_the_world(self.delay(), _answered, asked, result, error)

    def _failed(self, session: Session, asked: Asked, error: Exception) -> None:
        session.answers.remove(asked)
        if session.transaction is not None:
            session.failed = True
            session.transaction.written.clear()
        else:
            self._over(session)
        self._answer(asked, None, error)

    def _if_silent(self, session: Session, spoke: int) -> None:
        if session.alive and session.transaction is not None and session.spoke == spoke:
            self.end(session)

    # ---- locks -------------------------------------------------------------------------------------------------------------

    def _lock(self, session: Session, place: Place, then: Callable[[], None]) -> None:
        named = (session.schema.service, place)
        holder = self._holders.get(named)
        if holder is None or holder is session:
            self._holders[named] = session
            if place not in session.locks:
                session.locks.append(place)
            then()
            return
        session.waits_for = place
        self._waiting.setdefault(named, deque()).append((session, then))
        self.loop.in_the_world(STATEMENT_TIMEOUT_SECONDS, self._if_still_waiting, session, session.spoke)

    def _if_still_waiting(self, session: Session, spoke: int) -> None:
        if session.waits_for is not None and session.spoke == spoke:
            self.cancel(session, session.answers[-1])

    def _over(self, session: Session) -> None:
        """The transaction is over: what it had locked goes to who waits for it."""
        session.transaction, session.failed = None, False
        locks, session.locks = session.locks, []
        for place in locks:
            named = (session.schema.service, place)
            if self._holders.get(named) is session:
                del self._holders[named]
            if waiting := self._waiting.get(named):
                next_one, then = waiting.popleft()
                next_one.waits_for = None
                self._lock(next_one, place, then)


_END_HOLDERS = "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid"


def _lost() -> Exception:
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


def _answered(asked: Asked, result: Any, error: Exception | None) -> None:
    asked.over = True
    if asked.answer.done():
        return
    if error is not None:
        asked.answer.set_exception(error)
    else:
        asked.answer.set_result(result)


__all__ = ["Connection", "Faults", "Pool", "Postgres", "Session"]
