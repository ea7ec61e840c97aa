"""A simulated Kafka's side of a consumer group: who is in it, in which generation, and what each one was given.

As Kafka's own (the classic protocol): a generation begins when all members have joined, or the time for it is over; a member that is not
heard of for its session time-out is put out; what a generation was given is kept, and outlives the broker. A member may have a name of
its own: who joins by it is the same member again, and has what it had.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    IllegalGenerationError,
    InvalidSessionTimeoutError,
    KafkaError,
    MemberIdRequired,
    RebalanceInProgressError,
    UnknownError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
)

from shared.simulation.loop import Loop
from shared.simulation.network import LATER, Asked

SHORTEST_SESSION_SECONDS, LONGEST_SESSION_SECONDS = 6.0, 1800.0
"""What Kafka takes unless it is told otherwise."""
NEW_MEMBER_SECONDS = 300.0
"""How long a member that never was in a generation may wait for its first."""

Place = tuple[str, int]
"""A topic's partition."""


class State(enum.Enum):
    """Of a group."""

    EMPTY = enum.auto()
    PREPARING = enum.auto()
    """Members are joining."""
    COMPLETING = enum.auto()
    """Members know the generation, but not yet what they are given."""
    STABLE = enum.auto()


class Member:
    """One member, as the broker knows it."""

    __slots__ = (
        "assignment", "expires_at", "ident", "is_in", "is_new", "joining", "name", "rebalance_seconds", "session_seconds", "syncing",
        "topics",
    )  # fmt: skip

    def __init__(self, ident: str, name: str, topics: tuple[str, ...], session_seconds: float, rebalance_seconds: float) -> None:
        """`name`: its own, or empty; `topics`: what it subscribes to."""
        self.ident, self.name, self.topics = ident, name, topics
        self.session_seconds, self.rebalance_seconds = session_seconds, rebalance_seconds
        self.assignment: Sequence[Place] = ()
        self.is_new = True
        self.is_in = False
        """Whether it knows of the generation: who has a name is kept without that."""
        self.joining: Asked | None = None
        self.syncing: Asked | None = None
        self.expires_at = 0.0


class Joined:
    """The answer to who joins: the leader is told of all."""

    __slots__ = ("generation", "leads", "member", "members")

    def __init__(self, generation: int, member: str, members: Mapping[str, Sequence[str]] | None) -> None:
        """`members`: what each subscribes to, for the leader."""
        self.generation, self.member, self.members, self.leads = generation, member, members or {}, members is not None


class MustName(MemberIdRequired):  # type: ignore[misc]  # the library has no types
    """Join again, by this name."""

    def __init__(self, ident: str) -> None:
        super().__init__()
        self.ident = ident


class Coordinator:
    """One group's."""

    def __init__(self, loop: Loop, has_topic: Callable[[str], bool]) -> None:
        """`has_topic`: whether there is one of this name."""
        self._loop, self._has_topic = loop, has_topic
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.committed: dict[Place, int] = {}
        self._state = State.EMPTY
        self._leader = ""
        self._pending: dict[str, float] = {}
        """Names that were given out and not yet joined by, and until when they are waited for."""
        self._turn = 0
        """Raised with every state: what was set to happen in an older one does not."""
        self._kept: tuple[int, str, list[Member]] = (0, "", [])

    # ---- requests ----------------------------------------------------------------------------------------------------------

    def join(self, asked: Asked, ident: str, name: str, topics: tuple[str, ...], seconds: tuple[float, float]) -> Any:
        """Gives the generation when it begins. `seconds`: the session's, and how long the others may take to join anew."""
        session_seconds, rebalance_seconds = seconds
        if not SHORTEST_SESSION_SECONDS <= session_seconds <= LONGEST_SESSION_SECONDS:
            return InvalidSessionTimeoutError()
        had = next((member for member in self.members.values() if name and member.name == name), None)
        if not ident and not name:
            ident = f"aiokafka-{self._loop.random.getrandbits(64):016x}"
            self._pending[ident] = self._loop.time() + session_seconds
            self._loop.in_the_world(session_seconds, self._forget_pending, ident)
            return MustName(ident)
        if not ident:
            ident = f"{name}-{self._loop.random.getrandbits(64):016x}"
            if had is None:
                member = self._begin(Member(ident, name, topics, session_seconds, rebalance_seconds))
            else:
                member, same = self._again(had, ident), topics == had.topics
                member.topics, member.session_seconds, member.rebalance_seconds = topics, session_seconds, rebalance_seconds
                self._expect(member, session_seconds)
                if self._state is State.STABLE and same:
                    self._keep()
                    return Joined(self.generation, ident, None)
        elif self._pending.pop(ident, None) is not None:
            member = self._begin(Member(ident, name, topics, session_seconds, rebalance_seconds))
        elif had is not None and had.ident != ident:
            return UnknownError()  # the library knows no other for who was replaced by one of its name
        elif ident in self.members and self._state is not State.EMPTY:
            member = self.members[ident]
            same = topics == member.topics
            if (self._state is State.COMPLETING and same) or (self._state is State.STABLE and same and ident != self._leader):
                return self._joined(member)
            member.topics, member.session_seconds, member.rebalance_seconds = topics, session_seconds, rebalance_seconds
        else:
            return UnknownMemberIdError()
        member.joining = asked
        if self._state is State.PREPARING:
            self._complete_if_all_joined()
        else:
            self._prepare()
        return LATER

    def _begin(self, member: Member) -> Member:
        """A member that the group did not have."""
        self.members[member.ident] = member
        self._expect(member, NEW_MEMBER_SECONDS)
        self._look_after(member)
        if not self._leader:
            self._leader = member.ident
        return member

    def _again(self, had: Member, ident: str) -> Member:
        """The member that has a name is another process now. Whoever still waits by the older one hears that it was replaced."""
        member = self._copy(had)
        member.ident, member.is_new, member.is_in = ident, had.is_new, had.is_in
        member.expires_at = had.expires_at
        del self.members[had.ident]
        self.members[ident] = member
        if self._leader == had.ident:
            self._leader = ident
        for waiting in (had.joining, had.syncing):
            if waiting is not None:
                waiting.reply(UnknownError())
        self._look_after(member)
        return member

    def sync(self, asked: Asked, ident: str, generation: int, assignment: Mapping[str, Sequence[Place]] | None) -> Any:
        """Gives the member its share; the leader says all."""
        if error := self._refusal(ident, generation):
            return error
        if self._state is State.PREPARING:
            return RebalanceInProgressError()
        member = self.members[ident]
        if self._state is State.STABLE:
            self._expect(member, member.session_seconds)
            return member.assignment
        member.syncing = asked
        if ident == self._leader:
            for one in self.members.values():
                one.assignment = (assignment or {}).get(one.ident, ())
            self._enter(State.STABLE)
            self._keep()
            for one in self.members.values():
                if one.syncing is not None:
                    self._expect(one, one.session_seconds)
                    syncing, one.syncing = one.syncing, None
                    syncing.reply(one.assignment)
        return LATER

    def heartbeat(self, _: Asked, ident: str, generation: int) -> Any:
        """The member is there."""
        if error := self._refusal(ident, generation):
            return error
        member = self.members[ident]
        self._expect(member, member.session_seconds)
        return RebalanceInProgressError() if self._state is State.PREPARING else None

    def leave(self, _: Asked, ident: str) -> Any:
        """The member goes."""
        if self._pending.pop(ident, None) is not None:
            self._complete_if_all_joined()
        elif ident in self.members:
            self._remove(self.members[ident])
        else:
            return UnknownMemberIdError()
        return None

    def commit(self, _: Asked, ident: str, generation: int, offsets: Mapping[Place, int]) -> Any:
        """Keeps how far its readers are."""
        if generation >= 0 or ident:
            if ident not in self.members:
                return UnknownMemberIdError()
            if generation != self.generation:
                return IllegalGenerationError()
        elif self._state is not State.EMPTY:
            return UnknownMemberIdError()
        if self._state is State.COMPLETING:
            return RebalanceInProgressError()
        if ident in self.members:
            self._expect(self.members[ident], self.members[ident].session_seconds)
        unknown = [place for place in offsets if not self._has_topic(place[0])]
        self.committed.update({place: offset for place, offset in offsets.items() if place not in unknown})
        return UnknownTopicOrPartitionError() if unknown else None

    def offsets(self, _: Asked, places: Sequence[Place]) -> Any:
        """How far its readers are; nothing of those that nobody read."""
        return {place: self.committed[place] for place in places if place in self.committed}

    # ---- the broker --------------------------------------------------------------------------------------------------------

    def died(self) -> None:
        """The broker forgets what it did not keep."""
        generation, leader, kept = self._kept
        self.generation, self._leader = generation, leader
        self._pending.clear()
        self.members = {member.ident: self._copy(member) for member in kept}
        self._enter(State.STABLE if kept else State.EMPTY)

    def begins(self) -> None:
        """The broker is there again: everybody has as much time as if just heard of."""
        for member in self.members.values():
            self._expect(member, member.session_seconds)
            self._look_after(member)

    def _keep(self) -> None:
        self._kept = self.generation, self._leader, [self._copy(member) for member in self.members.values()]

    @staticmethod
    def _copy(member: Member) -> Member:
        copied = Member(member.ident, member.name, member.topics, member.session_seconds, member.rebalance_seconds)
        copied.assignment, copied.is_new = member.assignment, False
        return copied

    # ---- members -----------------------------------------------------------------------------------------------------------

    def _refusal(self, ident: str, generation: int) -> KafkaError | None:
        if self._state is State.EMPTY or ident not in self.members:
            return UnknownMemberIdError()
        return IllegalGenerationError() if generation != self.generation else None

    def _expect(self, member: Member, seconds: float) -> None:
        """Something must be heard of it within this time."""
        member.expires_at = self._loop.time() + seconds

    def _look_after(self, member: Member) -> None:
        if self.members.get(member.ident) is not member:
            return
        left = member.expires_at - self._loop.time()
        if left > 0:
            self._loop.in_the_world(min(left, member.session_seconds), self._look_after, member)
        elif not member.is_new and (member.joining is not None or member.syncing is not None):
            self._loop.in_the_world(member.session_seconds, self._look_after, member)
        else:
            self._remove(member)

    def _forget_pending(self, name: str) -> None:
        if self._pending.get(name, float("inf")) <= self._loop.time():
            del self._pending[name]
            self._complete_if_all_joined()

    def _remove(self, member: Member) -> None:
        self._drop(member)
        if self._state is State.PREPARING:
            self._complete_if_all_joined()
        elif self._state is not State.EMPTY:
            self._prepare()

    def _drop(self, member: Member) -> None:
        del self.members[member.ident]
        if self._leader == member.ident:
            self._leader = next(iter(self.members), "")
        for waiting in (member.joining, member.syncing):
            if waiting is not None:
                waiting.reply(UnknownMemberIdError())

    # ---- generations -------------------------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self._state = state
        self._turn += 1

    def _prepare(self) -> None:
        for member in self.members.values():
            if member.syncing is not None:
                syncing, member.syncing = member.syncing, None
                syncing.reply(RebalanceInProgressError())
        was_empty = self._state is State.EMPTY
        self._enter(State.PREPARING)
        if was_empty:
            self._complete()
            return
        longest = max((member.rebalance_seconds for member in self.members.values()), default=0.0)
        self._loop.in_the_world(longest, self._time_is_over, self._turn)
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        if self._state is State.PREPARING and not self._pending and all(member.joining is not None for member in self.members.values()):
            self._complete()

    def _time_is_over(self, turn: int) -> None:
        if turn != self._turn:
            return
        if self._state is State.PREPARING:
            self._complete()
        elif self._state is State.COMPLETING:  # who does not say that it knows of the generation is not there
            for member in [member for member in self.members.values() if member.is_in and member.syncing is None]:
                self._drop(member)
            self._prepare()

    def _complete(self) -> None:
        """A generation begins, of those who joined and those who have a name; it needs one who joined to lead it."""
        for member in [member for member in self.members.values() if member.joining is None and not member.name]:
            self._drop(member)
        joined = [member for member in self.members.values() if member.joining is not None]
        longest = max((member.rebalance_seconds for member in self.members.values()), default=0.0)
        if self.members and not joined:
            self._loop.in_the_world(longest, self._time_is_over, self._turn)
            return
        self.generation += 1
        if not self.members:
            self._enter(State.EMPTY)
            self._keep()
            return
        if self.members[self._leader].joining is None:
            self._leader = joined[0].ident
        self._enter(State.COMPLETING)
        self._loop.in_the_world(longest, self._time_is_over, self._turn)
        for member in self.members.values():
            member.is_in = member.joining is not None
        for member in joined:
            joining, member.joining, member.is_new = member.joining, None, False
            self._expect(member, member.session_seconds)
            assert joining is not None
            joining.reply(self._joined(member))

    def _joined(self, member: Member) -> Joined:
        members = {one.ident: one.topics for one in self.members.values()} if member.ident == self._leader else None
        return Joined(self.generation, member.ident, members)
