"""A simulated network between a client and a Kafka: connections on which requests are answered one at a time, in order.

What a client asked may still be done after the client is gone, and what was done may never be heard of.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError

from shared.simulation.loop import Loop

LATER = object()
"""What is answered by and by."""


class Server(Protocol):
    """The other end."""

    loop: Loop
    is_up: bool
    ident: str
    """Its cluster's."""

    def delay(self) -> float:
        """How many seconds something is under way."""

    def fate(self, asked: "Asked") -> tuple[bool, bool, bool]:
        """What becomes of a request: whether it is done, whether its answer is heard of, whether the connection breaks over it."""

    def connected(self, link: "Link") -> None:
        """A connection was made."""


class Asked:
    """A request that is not answered yet."""

    __slots__ = ("answer", "args", "deadline", "do", "held_since", "link", "patient", "wait")

    def __init__(self, link: "Link", do: Callable[..., Any], args: tuple[Any, ...], deadline: float) -> None:
        """`do`: called at the server with the request and its arguments; gives the answer, or LATER."""
        self.link, self.do, self.args, self.deadline = link, do, args, deadline
        self.answer: asyncio.Future[Any] = link.loop.create_future()
        self.held_since: float | None = None
        """Since when the server holds it, for want of anything to answer."""
        self.wait = 0.0
        """How long it would hold it, and then be asked the same again: that goes on unsaid for as long as nobody could tell."""
        self.patient = True
        """Whether nobody could tell."""

    def reply(self, answer: Any) -> None:
        """The server's answer: an exception is one."""
        self.link.replied(self, answer)

    def hold(self, seconds: float) -> None:
        """The server has no answer yet; it would give an empty one after so long."""
        self.held_since, self.wait = self.link.loop.time(), seconds
        if not self.patient:
            self.hurry()

    def hurry(self) -> None:
        """Somebody has use for the connection: the answer is to come when it would have."""
        self.patient = False
        if self.held_since is not None:
            self.link.ends_holding(self)


class Link:
    """One connection."""

    __slots__ = ("_asked", "_back", "_busy", "_inbox", "_seconds", "_sent", "_server", "_watched", "loop", "open")

    def __init__(self, server: Server, seconds: float) -> None:
        """`seconds`: after so long without an answer the client gives up the connection."""
        self._server, self._seconds = server, seconds
        self.loop = server.loop
        self.open = True
        """Whether the client has it."""
        self._asked: deque[Asked] = deque()
        self._sent: deque[Asked] = deque()
        self._inbox: deque[Asked] = deque()
        self._back: deque[tuple[Asked, Any]] = deque()
        self._busy: Asked | None = None
        self._watched = False

    # ---- the client's end --------------------------------------------------------------------------------------------------

    def ask(self, do: Callable[..., Any], args: tuple[Any, ...]) -> Asked:
        """Sends a request."""
        asked = Asked(self, do, args, self.loop.time() + self._seconds)
        self._asked.append(asked)
        self._sent.append(asked)
        self.loop.in_the_world(self._server.delay(), self._arrives)
        if not self._watched:
            self._watched = True
            self.loop.call_at(asked.deadline, self._watch)
        return asked

    def close(self, error: type[Exception] = KafkaConnectionError) -> None:
        """Nothing is heard on it any more. What was sent is on its way."""
        if self.open:
            self.open = False
            for asked in self._asked:
                _fail(asked.answer, error("the connection was closed"))
            self._asked.clear()

    def ends_holding(self, asked: Asked) -> None:
        """The server is to answer this when it would have."""
        if asked is self._busy and asked.held_since is not None:
            now = self.loop.time()
            left = asked.wait - (now - asked.held_since) % asked.wait
            asked.held_since, asked.deadline = None, max(asked.deadline, now + self._seconds)
            self.loop.in_the_world(left, self._held_long_enough, asked)

    def _watch(self) -> None:
        """Looks whether an answer is overdue."""
        self._watched = False
        if not self.open:
            return
        now = self.loop.time()
        first = next((asked for asked in self._asked if not asked.answer.done()), None)
        if first is None:
            return
        if first is self._busy and first.held_since is not None:
            first.deadline = now + self._seconds
        if first.deadline <= now:
            _fail(first.answer, RequestTimedOutError())
            self.close()
            return
        self._watched = True
        self.loop.call_at(first.deadline, self._watch)

    # ---- the server's end --------------------------------------------------------------------------------------------------

    def sever(self) -> None:
        """The server is gone, or the way to it."""
        self._sent.clear()
        self._inbox.clear()
        self._busy = None
        self.close()

    def _arrives(self) -> None:
        if not self._sent:
            return
        asked = self._sent.popleft()
        if self._busy is not None:
            self._inbox.append(asked)
            self._busy.hurry()
        else:
            self._do(asked)

    def _do(self, asked: Asked) -> None:
        is_done, is_heard_of, breaks = self._server.fate(asked)
        self._busy = asked
        asked.patient = asked.patient and not self._inbox
        if is_done:
            answer = asked.do(asked, *asked.args)
            if is_heard_of and not breaks:
                if answer is not LATER:
                    self.replied(asked, answer)
                return
        if breaks:
            self.sever()

    def replied(self, asked: Asked, answer: Any) -> None:
        """The server has an answer."""
        if self._busy is not asked:
            return
        self._busy = asked.held_since = None
        self._back.append((asked, answer))
        self.loop.in_the_world(self._server.delay(), self._delivers)
        if self._inbox:
            self._do(self._inbox.popleft())

    def _held_long_enough(self, asked: Asked) -> None:
        if self._busy is asked:
            asked.do(asked, *asked.args, ends=True)

    def _delivers(self) -> None:
        asked, answer = self._back.popleft()
        if not self.open:
            return
        self._asked.popleft()
        if isinstance(answer, BaseException):
            _fail(asked.answer, answer)
        elif not asked.answer.done():
            asked.answer.set_result(answer)


def _fail(answer: "asyncio.Future[Any]", error: BaseException) -> None:
    """Whoever waits is told; that nobody does is nothing to complain of."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()


class Line:
    """A client's way to the server: a connection, and another one when it breaks."""

    __slots__ = ("_connecting", "_is_ours", "_link", "_seconds", "_server", "closed")

    def __init__(self, server: Server, seconds: float, is_ours: Callable[[str], bool]) -> None:
        """`seconds`: how long an answer may take. `is_ours`: whether a cluster is talked to."""
        self._server, self._seconds, self._is_ours = server, seconds, is_ours
        self._link: Link | None = None
        self._connecting: asyncio.Future[None] | None = None
        self.closed = False

    async def ask(self, do: Callable[..., Any], *args: Any) -> Any:
        """The server's answer.

        Raises:
            KafkaError: where there is none, or it is one.
        """
        return await (await self.send(do, *args)).answer

    async def send(self, do: Callable[..., Any], *args: Any) -> Asked:
        """Asks; the answer is yet to come."""
        if self._link is None or not self._link.open:
            await self.connect()
        assert self._link is not None
        return self._link.ask(do, args)

    async def connect(self) -> None:
        """Makes the connection where there is none.

        Raises:
            NodeNotReadyError: where nobody answers, or another cluster does.
        """
        while self._link is None or not self._link.open:
            if self.closed:
                raise NodeNotReadyError("it was closed")
            if self._connecting is None or self._connecting.done():
                loop = self._server.loop
                self._connecting = loop.create_future()
                loop.in_the_world(self._server.delay() + self._server.delay(), self._connects, self._connecting)
            await asyncio.shield(self._connecting)

    def _connects(self, connecting: "asyncio.Future[None]") -> None:
        if connecting.done():
            return
        if self.closed or not self._server.is_up:
            _fail(connecting, NodeNotReadyError("nobody answers"))
            return
        if not self._is_ours(self._server.ident):
            _fail(connecting, NodeNotReadyError("another cluster answers"))
            return
        self._link = Link(self._server, self._seconds)
        self._server.connected(self._link)
        connecting.set_result(None)

    def close(self) -> None:
        """Nothing is asked any more."""
        self.closed = True
        if self._link is not None:
            self._link.close()
