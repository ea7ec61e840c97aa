"""An event loop whose time is simulated and whose order is drawn from a seed, for several processes that can be frozen and killed.

What runs belongs to the process in whose context it was begun; what belongs to none is the world: the servers, the network, whoever
injects faults. A killed process is never heard of again, not even its `finally`s: like one that was killed.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

from shared.clock import CLOCKS

T = TypeVar("T")
BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When every simulation begins."""
TICK_SECONDS = 1e-6
"""Whoever waits at all waits so long: time that does not pass would be waited for without end."""


class Killed(BaseException):
    """For the simulation's own use."""


class Process:
    """What lives and dies together. It is the clocks of what runs in it."""

    def __init__(self, loop: "Loop", name: str) -> None:
        """`name`: as traces tell of it."""
        self.name = name
        self.alive, self.frozen = True, False
        self.skew = timedelta()
        """How far its wall clock is off."""
        self.steps = 0
        """How often it was resumed."""
        self.dies_after: int | None = None
        """It is killed when it was resumed so often; None for not."""
        self.ready: deque[asyncio.Handle] = deque()
        self._loop = loop
        self._on_end: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """Its wall clock."""
        return self._loop.now() + self.skew

    def passed(self) -> float:
        """Its other clock: deciding takes it no time but what is drawn."""
        return self._loop.time() + self._loop.spent()

    def at_end(self, call: Callable[[], None]) -> None:
        """To be called when it is killed: what others notice of it."""
        self._on_end.append(call)

    def kill(self) -> None:
        """It is no more."""
        if self.alive:
            self.alive = False
            self.ready.clear()
            for call in self._on_end:
                call()

    def freeze(self) -> None:
        """Nothing of it runs until it is thawed."""
        self.frozen = True

    def thaw(self) -> None:
        """It goes on where it was, and finds that time has passed."""
        self.frozen = False


PROCESS: ContextVar[Process] = ContextVar("process")
"""Whose code runs; unset in the world."""


class Loop(asyncio.AbstractEventLoop):
    """The loop. `random` draws its order."""

    def __init__(self, random: Random) -> None:
        """`random`: the seed's."""
        self.random = random
        self.world = Process(self, "world")
        self._world_context = Context()
        self._processes: list[Process] = [self.world]
        self._time = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process]] = []
        self._number = 0
        self._failures: list[BaseException] = []
        self._most_tasks = 1_000
        self._tasks: list[asyncio.Task[Any]] = []
        """Held, so that what was killed is not taken apart, with all its `finally`s, in the midst of what lives on."""
        self.over = False
        """What is said from here on is what was taken apart complaining."""
        self.spent: Callable[[], float] = lambda: 0.0
        """How much longer it took than nothing, each time that a process asks."""

    # ---- processes ---------------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """A new one, with nothing to do yet."""
        made = Process(self, name)
        self._processes.append(made)
        return made

    def begin(self, process: Process, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Gives a process its work. Its task's end is not the process's: look at it."""
        context = copy_context()
        context.run(PROCESS.set, process)
        context.run(CLOCKS.set, process)
        return context.run(self.create_task, work)

    def in_the_world(self, after: float, call: Callable[..., Any], *args: Any) -> None:
        """Something that a server, or the network, does in a while, whatever becomes of who wanted it."""
        self.call_later(after, call, *args, context=self._world_context)

    def now(self) -> datetime:
        """The right time."""
        return BEGIN + timedelta(seconds=self._time)

    # ---- running -----------------------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs until this, which belongs to the world, is done. What failed in the world and nobody looked at is raised."""
        asyncio.events._set_running_loop(self)  # noqa: SLF001 - what every loop does when it runs
        try:
            task: asyncio.Task[T] = self._world_context.run(self.create_task, work)
            while not task.done() and not self._failures:
                self._turn()
            if self._failures:
                raise self._failures[0]
            return task.result()
        finally:
            asyncio.events._set_running_loop(None)  # noqa: SLF001
            self.over = True
            self._take_apart()

    def _take_apart(self) -> None:
        """Ends what did not end: nothing of it may run when another loop does."""
        for task in self._tasks:
            if not task.done():
                with suppress(BaseException):
                    task.get_coro().close()
        self._tasks.clear()

    def _turn(self) -> None:
        """One process runs what it has to do now; where none has anything, time passes."""
        able = [one for one in self._processes if one.ready and not one.frozen]
        if not able:
            self._pass_time()
            return
        process = able[0] if len(able) == 1 else able[int(self.random.random() * len(able))]
        ready = process.ready
        for _ in range(len(ready)):
            if not ready:  # it was killed meanwhile
                return
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 - as every loop does
                process.steps += 1
                handle._run()  # noqa: SLF001
                if process.steps == process.dies_after:
                    process.kill()

    def _pass_time(self) -> None:
        while self._timers:
            at, _, handle, process = heapq.heappop(self._timers)
            if handle.cancelled() or not process.alive:
                continue
            self._time = max(self._time, at)
            process.ready.append(handle)
            if not process.frozen:
                break
        else:
            raise RuntimeError("nothing will ever happen again")
        while self._timers and self._timers[0][0] <= self._time:
            _, _, handle, process = heapq.heappop(self._timers)
            if process.alive and not handle.cancelled():
                process.ready.append(handle)
        self._processes = [one for one in self._processes if one.alive]

    # ---- what asyncio asks of a loop ---------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._time

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """See asyncio."""
        context = context if context is not None else copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        process = context.get(PROCESS) or self.world
        if process.alive:
            process.ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        """See asyncio."""
        return self.call_at(self._time + (max(delay, TICK_SECONDS) if delay > 0 else 0.0), callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        """See asyncio."""
        context = context if context is not None else copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle, context.get(PROCESS) or self.world))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """See asyncio: it is left where it is, and passed over."""

    def create_future(self) -> "asyncio.Future[Any]":
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        """See asyncio."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._most_tasks:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._most_tasks = 2 * len(self._tasks) + 1_000
        return task

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """See asyncio."""
        return True

    def is_closed(self) -> bool:
        """See asyncio."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What went wrong where nobody waits: in the world it is a fault of the simulation."""
        error = context.get("exception")
        if error is not None and PROCESS.get(None) is None:
            self._failures.append(error)
