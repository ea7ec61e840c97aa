"""What is wrong with what was seen, and what to do. Pure: one function a question, which finds something or has nothing to ask."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from deploy.doctor.offsets import incarnations, offsets
from deploy.doctor.seen import NOT_INSTALLED, Behind, Finding, Seen, Shard
from deploy.doctor.words import fine, note, shards_in_words, wrong
from deploy.local.part import State

BEHIND_MAX = timedelta(seconds=10)
"""So long may an event wait for Kafka, or for the console, before somebody should look."""
CLOCK_APART_MAX = timedelta(seconds=10)
"""At five minutes services stop; this is early enough to set it right."""
DISK_FREE_BYTES_MIN = 2 * 1024**3
DEATHS = 3
"""After so many attempts on the same inputs the doctor says that they end the process."""
ADVICE = {
    "older ledger": "what to do stands at `ledger`",
    "another cluster": "what to do stands at `kafka`",
    "clock": "set the clocks right (NTP); it goes on by itself then",
    "gap": "the topic of these events lost some: stop the services everywhere, then `makegood topics rebuild`",
    "chain": "`makegood verify` tells whether the ledger or the topic was changed; change nothing before that",
    "topic changed": "what to do stands at `topic ids` and `offsets`",
    "lost range": "what to do stands at `offsets`",
    "damaged": "change nothing, keep a copy of the database, and compare with a backup; `makegood verify` tells of all that was changed",
    "kafka": "it goes on by itself when Kafka answers",
    "disk full": "make room on PostgreSQL's disk; it goes on by itself then",
    "database": "it goes on by itself when PostgreSQL answers",
    "rules": "a newer release decided here: run that one again, or a later one",
    "stalled": "the service's log may tell why; where it does not pass, end the process: it is started again",
    "relay": "it goes on by itself when Kafka takes it; where it refuses a record, its log and the service's tell why",
    "failed": "a fault of makegood's own, to be reported with the service's log; it is tried again by itself",
}
"""What to do about a shard that can't go on, by the cause."""
OLDER = (
    "put the newer database back: until then nothing is decided, or what others were told would be untrue. If it is gone for good: "
    "keep a copy of the topics of events, delete them, and `makegood topics rebuild`; what Kafka still has of what was asked since is then "
    "decided again (docs/operations.md)"
)
MUST_BE_ON = ("fsync", "full_page_writes")
STREAM_WAITS = frozenset({"mind_failed", "process_died", "waiting"})
"""The causes of parking for which complaints stand still."""
GIB = 1024**3


def log_of(seen: Seen, name: str) -> str:
    """Where a service's log is, in words."""
    return "the standard error of that process" if seen.outside else f"{seen.home}/logs/{name}.log"


def judge(seen: Seen) -> list[Finding]:
    """All findings, in the order in which one would look."""
    halfway = seen.database is not None and seen.database.installation.rebuilding
    return [finding for question in (WHILE_REBUILDING if halfway else QUESTIONS) for finding in question(seen)]


# ---- processes and servers -------------------------------------------------------------------------------------------------


def rebuilding(_: Seen) -> Iterator[Finding]:
    """Are the topics being made again? Then the rest is not yet what it will be."""
    what = "the topics are being made again, or that was interrupted: until it is done no service works, and `makegood up` starts none"
    yield wrong("rebuild", what, "stop the services everywhere (those that wait for it, too); `makegood topics rebuild` goes on with it")


def processes(seen: Seen) -> Iterator[Finding]:
    """Does everything run, and is it ready?"""
    status = seen.status
    if seen.outside:
        yield from _at_work(seen)
    elif status.phase != "running":
        what = status.failed or (f"nothing runs in {seen.home}" if status.phase == "stopped" else f"the stack is {status.phase}")
        yield wrong("processes", what, "`makegood up` starts it")
        return
    unready = [part for part in status.parts if part["state"] != State.READY]
    for part in unready:
        yield wrong("processes", f"{part['name']} is {part['state']}", f"its log tells why: {part['log']}")
    silent = [service for service in status.services if not service["ready"] and not service["troubles"]]
    for service in silent:
        name = service["service"]
        if silence := service.get("silence"):
            start = f"`makegood run {name}` starts one" if seen.outside else f"its log tells why: {log_of(seen, name)}"
            yield wrong("processes", f"{name} is not ready: {silence}", start)
            continue
        what = f"{name} is not ready: it waits {service['waits'] or 'for its shards'}"
        yield wrong("processes", what, f"it goes on by itself when that is there; its log: {log_of(seen, name)}")
    if status.services and not unready and not silent:
        yield fine("processes", f"{', '.join(part['name'] for part in status.parts) or 'the console'}: all that should run does")
    restarted = [f"{part['name']} ({part['restarts']})" for part in status.parts if part["restarts"]]
    if restarted:
        yield note("processes", f"started again after they ended by themselves: {', '.join(restarted)}; their logs are in {seen.home}/logs")


def _at_work(seen: Seen) -> Iterator[Finding]:
    """Of processes that somebody else starts we see whether they are in Kafka's consumer groups."""
    if seen.kafka is None or seen.database is None:  # where nothing is installed, nothing need run
        return
    for name in (name for name, members in seen.kafka.members.items() if not members):
        told = "what is decided is not shown" if name == "console" else "nothing of what waits for it is decided"
        yield wrong("processes", f"no process of {name} is at work: {told}", f"`makegood run {name}` starts one")
    running = ", ".join(f"{members} of {name}" for name, members in seen.kafka.members.items() if members)
    yield note("processes", f"servers from outside are named; at work on them are {running or 'no processes'}")


def releases(seen: Seen) -> Iterator[Finding]:
    """Does what runs come from what is installed?"""
    if seen.running_release and seen.running_release != seen.installed_release:
        what = f"release {seen.running_release} runs, {seen.installed_release} is installed"
        yield wrong("release", what, "`makegood down`, then `makegood up`")
    for schema, differs in (seen.database.migrations if seen.database else {}).items():
        if differs:
            yield wrong(
                "release", f"the tables of {schema} do not fit: {differs}", "`makegood up` (or `makegood install`) of the newer release"
            )


def servers(seen: Seen) -> Iterator[Finding]:
    """Do Kafka and PostgreSQL answer, and are they this installation's?"""
    if seen.kafka_silence:
        yield wrong(
            "kafka", f"it can't be looked at: {seen.kafka_silence}", "see that it runs; `makegood status` tells of the embedded one"
        )
    if seen.database_silence:
        do = (
            "`makegood install`"
            if seen.database_silence == NOT_INSTALLED
            else "see that it runs, and that MAKEGOOD_DATABASE names it, as its owner"
        )
        yield wrong("postgres", f"it can't be looked at: {seen.database_silence}", do)
    if seen.kafka is None or seen.database is None:
        return
    expected = seen.database.installation.cluster_id
    if seen.kafka.cluster_id != expected:
        what = f"another cluster is behind the address: this installation belongs to {expected}, {seen.kafka.cluster_id} answers"
        do = "set MAKEGOOD_KAFKA and MAKEGOOD_DATABASE to a pair that belongs together; nothing is read until then. If the old is gone for"
        yield wrong("kafka", what, f"{do} good: `makegood topics rebuild --cluster {seen.kafka.cluster_id}`")
    else:
        yield fine("kafka", f"the cluster is this installation's, {expected}")


# ---- topics ----------------------------------------------------------------------------------------------------------------


def topics(seen: Seen) -> Iterator[Finding]:
    """Are all topics there, and as they must be?"""
    if seen.kafka is None or seen.database is None:
        return
    shards = seen.database.installation.shards
    wanted = seen.kafka.wanted
    missing = [topic for topic in wanted if topic not in seen.kafka.partitions]
    if missing:
        yield wrong("topics", f"missing: {', '.join(missing)}", "`makegood up` (or `makegood install`) makes them")
    counts = {topic: count for topic, count in seen.kafka.partitions.items() if count != shards}
    for topic, count in counts.items():
        what = f"{topic} has {count} partitions, this installation has {shards} shards"
        yield wrong("topics", what, "nothing can be read from it so: delete it and `makegood install`, or put back the one that was there")
    if not missing and not counts:
        yield fine("topics", f"all {len(wanted)} are there, with {shards} partitions each")
    for topic, settings in seen.kafka.configs.items():
        for name, value in wanted[topic].items():
            if settings.get(name) != value:
                what = f"{topic} has {name}={settings.get(name)}, not {value}"
                yield wrong("topics", what, f"kafka-configs --alter --topic {topic} --add-config {name}={value}")


# ---- ledgers ---------------------------------------------------------------------------------------------------------------


def relays(seen: Seen) -> Iterator[Finding]:
    """Does what is decided reach Kafka, and the console?"""
    if seen.database is None:
        return
    late = "it waits for Kafka, or for its service: `makegood status`, and the service's log"
    clock = seen.database.clock
    if ill := list(_late(seen.database.relayed, clock)):
        yield from (wrong("relay", f"{where} are not in Kafka", late) for where in ill)
    else:
        yield fine("relay", "Kafka has every event that was decided")
    late = "the console's log tells why; its pages show the past until then"
    if ill := list(_late(seen.database.placed, clock)):
        yield from (wrong("console", f"{where} are not in the console", late) for where in ill)
    else:
        yield fine("console", "the console has taken in every event")


def ledgers(seen: Seen) -> Iterator[Finding]:
    """Has each ledger what Kafka has of it? One that was restored from a backup has not."""
    if seen.kafka is None or seen.database is None or seen.kafka.cluster_id != seen.database.installation.cluster_id:
        return
    for service, heads in seen.database.heads.items():
        older = [
            head.shard for head in heads
            if (newest := seen.kafka.newest.get((service, head.shard)))
            and (newest[0] > head.position or (newest[0] == head.position and newest[1] != head.hash))
        ]  # fmt: skip
        if older:
            what = f"Kafka has events of {service}, {shards_in_words(older)}, that its ledger has not: the database is older than its Kafka"
            yield wrong("ledger", what, OLDER)


def _late(readers: Mapping[Shard, Behind], clock: datetime) -> Iterator[str]:
    """Which events some reader has not, for too long."""
    late: dict[str, list[int]] = {}
    waits: dict[str, timedelta] = {}
    for (service, shard), behind in readers.items():
        if behind.oldest_at is not None and clock - behind.oldest_at > BEHIND_MAX:
            late.setdefault(service, []).append(shard)
            waits[service] = max(waits.get(service, timedelta(0)), clock - behind.oldest_at)
    for service, shards in late.items():
        yield f"events that {service}, {shards_in_words(shards)}, decided {waits[service].total_seconds():.0f} s ago"


def busy(seen: Seen) -> Iterator[Finding]:
    """Has any service more to do than it can?"""
    for service in seen.status.services:
        behind = service.get("behind")
        if behind and behind["seconds"] > BEHIND_MAX.total_seconds() and service["ready"]:
            what = f"{service['service']} is busy: {behind['records']:,} records wait, the oldest for {behind['seconds']:,.0f} s"
            yield note("lag", f"{what}; where that lasts, more processes of it share the shards out, up to one a shard")


def damage(seen: Seen) -> Iterator[Finding]:
    """Is what is stored what was written?"""
    for what in seen.database.damaged if seen.database else ():
        yield wrong("damage", what, ADVICE["damaged"])


def troubles(seen: Seen) -> Iterator[Finding]:
    """Can every shard go on? Does a process die of one again and again?"""
    for service in seen.status.services:
        for shard, trouble in service["troubles"].items():
            what = f"{service['service']}, shard {shard}, can't go on ({trouble['cause']}): {trouble['what']}"
            yield wrong("shards", what, ADVICE.get(trouble["cause"], ADVICE["failed"]))
    unready = {service["service"]: service["troubles"] for service in seen.status.services if not service["ready"]}
    for name, heads in (seen.database.heads if seen.database else {}).items():
        for head in heads:
            if head.attempts >= DEATHS and name in unready and str(head.shard) not in unready[name]:
                trying = f", trying {head.trying}" if head.trying else ""
                what = f"{name} has taken shard {head.shard} over {head.attempts} times without finishing a batch{trying}"
                yield wrong("shards", what, f"its log tells why: {log_of(seen, name)}; a record that it dies of is parked by itself")


def parked(seen: Seen) -> Iterator[Finding]:
    """Does any input wait for somebody?"""
    if seen.database is None:
        return
    there = {service: causes for service, causes in seen.database.parked.items() if causes}
    for service, causes in there.items():
        words = ", ".join(f"{count:,} {cause.replace('_', ' ')}" for cause, count in causes.items())
        if causes.keys() & STREAM_WAITS:
            what = f"complaints stand still in {service}: {words}"
            do = "a mind that failed is a fault to report, and `makegood parked retry` decides it once that is mended"
            yield wrong("parked", what, f"`makegood parked list --service {service}`; {do}")
        else:
            do = "`makegood parked list` shows them and why, `retry` and `discard` settle them"
            yield note("parked", f"{service} has inputs that it could not read: {words}; {do}")
    if not there:
        yield fine("parked", "no input is parked")


def policies(seen: Seen) -> Iterator[Finding]:
    """Which policy is in force?"""
    if seen.database is None:
        return
    in_force: dict[str, int] = {}
    for heads in seen.database.heads.values():
        for head in heads:
            in_force[head.policy] = in_force.get(head.policy, 0) + 1
    named = {seen.database.policies.get(digest, digest[:12]) if digest else "none yet": count for digest, count in in_force.items()}
    if len(named) == 1:
        yield fine("policy", f"{next(iter(named))}, in force in every shard")
    else:
        yield note("policy", f"not the same in every shard: {', '.join(f'{name} in {count}' for name, count in named.items())}")


# ---- the machine beneath ---------------------------------------------------------------------------------------------------


def clocks(seen: Seen) -> Iterator[Finding]:
    """Do the clocks agree?"""
    if seen.database is None:
        return
    apart = seen.database.clock_apart
    if abs(apart) > CLOCK_APART_MAX:
        ahead = "ahead of" if apart > timedelta(0) else "behind"
        what = f"PostgreSQL's clock is {abs(apart).total_seconds():.0f} s {ahead} this machine's"
        yield wrong("clocks", what, "set both (NTP): at five minutes the services stop, so as not to write a wrong time for ever")
    else:
        yield fine("clocks", f"PostgreSQL's and this machine's are {abs(apart).total_seconds() * 1000:.0f} ms apart")
    for service, heads in seen.database.heads.items():
        ahead_of = [head.shard for head in heads if head.now - seen.database.clock > CLOCK_APART_MAX]
        if ahead_of:
            what = f"time in {service}, {shards_in_words(ahead_of)}, is ahead of the clock, and stands still until that catches up"
            yield wrong("clocks", what, "a clock was wrong and is right again: nothing to do but wait; if it is wrong now, set it")


def disk(seen: Seen) -> Iterator[Finding]:
    """Is there room?"""
    if seen.disk_free_bytes is None or seen.disk_bytes is None or seen.outside:
        return
    what = f"{seen.disk_free_bytes / GIB:.1f} GiB of {seen.disk_bytes / GIB:.0f} GiB are free where {seen.home} lies"
    if seen.disk_free_bytes < DISK_FREE_BYTES_MIN:
        yield wrong("disk", what, "make room: PostgreSQL and Kafka stop when it is full; nothing that was acknowledged is lost then")
    else:
        yield fine("disk", what)


def settings(seen: Seen) -> Iterator[Finding]:
    """Does PostgreSQL keep what it says it has kept?"""
    if seen.database is None:
        return
    told = seen.database.settings
    off = [name for name in MUST_BE_ON if told.get(name) == "off"] + ["synchronous_commit"] * (told.get("synchronous_commit") == "off")
    if off:
        what = f"{', '.join(off)} is off: what was acknowledged can be lost when the power fails"
        sql = "; ".join([*(f"ALTER SYSTEM RESET {name}" for name in off), "SELECT pg_reload_conf()"])
        yield wrong("postgres", what, "turn it on where it was turned off: in postgresql.conf, on the command line, or so", sql)
    else:
        yield fine("postgres", f"{told.get('server_version')}; commits are on disk before they are acknowledged")
    if told.get("data_checksums") == "off":
        yield note("postgres", "data checksums are off: a disk that lies is noticed by `makegood verify` alone")


QUESTIONS: Sequence[Callable[[Seen], Iterable[Finding]]] = (
    processes, releases, servers, topics, incarnations, offsets, damage, ledgers, troubles, busy, relays, parked, policies, clocks, disk,
    settings,
)  # fmt: skip
"""All of them, in the order of the answers."""
WHILE_REBUILDING: Sequence[Callable[[Seen], Iterable[Finding]]] = (
    rebuilding, releases, servers, damage, parked, policies, clocks, disk, settings,
)  # fmt: skip
"""Those that a rebuild of the topics does not answer by itself: what else is wrong meanwhile, and what to do about it, would mislead."""
