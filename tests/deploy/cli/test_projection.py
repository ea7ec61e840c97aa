"""`makegood projection rebuild`: who had it done is kept."""

import asyncio

import asyncpg

from deploy.cli.exits import Exit


async def rebuilt(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return tuple(await connection.fetchrow("SELECT projection, actor FROM console.rebuilt ORDER BY at DESC LIMIT 1"))
    finally:
        await connection.close()


def test_a_projection_is_made_again_and_who_answers_for_it_is_kept(cli, system, walked):
    done = cli("projection", "rebuild", "story", "--actor", "person:anna", "--json")
    assert done.code == Exit.DONE, done.err
    assert (done.json["projection"], done.json["actor"]) == ("story", "person:anna")
    assert done.json["rows_before"] == done.json["rows_after"] > 0
    assert asyncio.run(rebuilt(system.stack.owner_dsn)) == ("story", "person:anna")


def test_a_person_answers_for_it(cli, system):
    for actor in ("system:cron", "anna", "person:anna li"):
        done = cli("projection", "rebuild", "story", "--actor", actor)
        assert (done.code, done.err) == (Exit.USAGE, "A person answers for this: --actor person:NAME, without spaces.\n")
