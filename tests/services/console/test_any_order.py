"""Nothing orders the services' events among each other: whatever overtakes what, the console's tables come out the same."""

import random
from collections import defaultdict
from itertools import chain, permutations

import asyncpg
import pytest

from deploy.install import CONSOLE
from deploy.migrate import migrate
from deploy.sample.feed import Terms, feed
from services.console.projections.outcomes import Outcomes
from services.console.projections.queue import Queue
from services.console.projections.story import Story
from shared.contract.envelope import SERVICES, events_topic, text_headers
from shared.machine.projecting import Heard
from shared.machine.records import read_event
from tests.services.console.again import KEPT
from tests.shared.machine.live import everything
from tests.system import SHARDS

FEW = 40
SEED = 404
SCHEMA = "console_any_order"
TABLES = ("complaints", "story", "outcomes")
ORDERS = list(permutations(SERVICES))


@pytest.fixture(scope="module")
async def ledgers(system):
    """The events of complaints that went all ways: of each service and shard, as Kafka has them."""
    await feed(Terms(system.stack.kafka, FEW, SEED))
    found = defaultdict(list)
    for service in SERVICES:
        for record in await everything(system.stack.kafka, events_topic(service), SHARDS):
            row, _ = read_event(text_headers(record.headers), record.value, record.partition)
            found[service, record.partition].append(Heard(service, row))
    assert {service for service, _ in found} == set(SERVICES), "every service said something"
    return found


@pytest.fixture(scope="module")
async def connection(system):
    owner = await asyncpg.connect(system.stack.owner_dsn, server_settings={"search_path": SCHEMA})
    await owner.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    await migrate(owner, CONSOLE, SCHEMA, "makegood_console", SHARDS)
    yield owner
    await owner.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    await owner.close()


@pytest.fixture(scope="module")
async def usual(ledgers, connection):
    """What the tables hold where a little of each comes in turn."""
    return await made_of(connection, [batch for shard in range(SHARDS) for batch in dealt(ledgers, shard, random.Random(1), 20)])


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
async def test_one_service_after_the_other_in_any_order(ledgers, connection, usual, order):
    batches = [ledgers[service, shard] for shard in range(SHARDS) for service in order]
    assert await made_of(connection, batches) == usual


@pytest.mark.parametrize(("seed", "most"), [(2, 1), (3, 2), (4, 7), (5, 300)])
async def test_batches_of_any_size_that_mix_the_services(ledgers, connection, usual, seed, most):
    dice = random.Random(seed)
    assert await made_of(connection, chain.from_iterable(dealt(ledgers, shard, dice, most) for shard in range(SHARDS))) == usual


async def test_an_event_that_is_left_out_shows(ledgers, connection, usual):
    """Or the others would prove nothing."""
    batches = [[one for one in ledgers[service, shard] if "Owne" not in one.row.type] for shard in range(SHARDS) for service in SERVICES]
    assert await made_of(connection, batches) != usual


def dealt(ledgers, shard, dice, most):
    """A shard's events in batches of up to so many, in an order that no service's own order is broken by."""
    left = {service: iter(ledgers[service, shard]) for service in SERVICES}
    batch, size = [], dice.randint(1, most)
    while left:
        service = dice.choice(sorted(left))
        if (one := next(left[service], None)) is None:
            del left[service]
            continue
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch, size = [], dice.randint(1, most)
    yield batch


async def made_of(connection, batches):
    """What the tables hold after these batches."""
    await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
    for batch in batches:
        async with connection.transaction():
            for projection in (Story(), Queue(), Outcomes()):
                await projection.project(connection, batch)
    return {name: [tuple(row) for row in await connection.fetch(KEPT[name].format(SCHEMA))] for name in TABLES}
