import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from deploy.migrate import MigrationsDiffer, found, migrate

ROLE = "a_reader"
ONE = "CREATE TABLE letters (letter text)"
TWO = "INSERT INTO letters VALUES ('a')"


@pytest.fixture
async def dsn(servers):
    return await servers.fresh_database()


@pytest.fixture
async def connection(dsn):
    async with connected(dsn) as connection:
        await connection.execute("CREATE SCHEMA post")
        yield connection


@asynccontextmanager
async def connected(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "0001_letters.sql").write_text(ONE)
    (tmp_path / "0002_first_letter.sql").write_text(TWO)
    return tmp_path


async def migrated(connection, folder):
    return [migration.name for migration in await migrate(connection, folder, "post", ROLE, 16)]


async def test_each_file_is_applied_once_in_the_order_of_the_numbers(connection, folder):
    assert await migrated(connection, folder) == ["letters", "first_letter"]
    assert await migrated(connection, folder) == []
    assert await connection.fetch("SELECT letter FROM post.letters") == [("a",)]


async def test_a_new_file_is_applied_to_what_is_there(connection, folder):
    await migrated(connection, folder)
    (folder / "0003_second_letter.sql").write_text("INSERT INTO letters VALUES ('b')")
    assert await migrated(connection, folder) == ["second_letter"]
    assert await connection.fetchval("SELECT count(*) FROM post.letters") == 2


async def test_the_schema_the_role_and_the_number_of_shards_stand_where_they_are_named(connection, folder):
    await connection.execute(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE}")
    (folder / "0003_placeholders.sql").write_text("""
        CREATE TABLE :schema.shards AS SELECT generate_series(1, :shards) AS shard;
        GRANT SELECT ON shards TO :role;
        INSERT INTO letters SELECT 'x'::text WHERE ':schemas' = ':' || 'schemas'""")
    await migrated(connection, folder)
    assert await connection.fetchval("SELECT count(*) FROM post.shards") == 16
    assert await connection.fetchval("SELECT has_table_privilege($1, 'post.shards', 'SELECT')", ROLE)
    assert await connection.fetchval("SELECT count(*) FROM post.letters WHERE letter = 'x'") == 1
    await connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(connection, folder):
    await migrated(connection, folder)
    (folder / "0001_letters.sql").write_text(ONE + " -- a word more")
    with pytest.raises(MigrationsDiffer, match="0001_letters was changed after it was applied to post: put it back"):
        await migrated(connection, folder)


async def test_a_database_of_a_newer_release_is_refused(connection, folder):
    await migrated(connection, folder)
    (folder / "0002_first_letter.sql").unlink()
    with pytest.raises(MigrationsDiffer, match="0002_first_letter, which this release does not know"):
        await migrated(connection, folder)


async def test_of_a_file_that_fails_nothing_stays_and_what_came_before_does(connection, folder):
    (folder / "0002_first_letter.sql").write_text("INSERT INTO letters VALUES ('a'); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrated(connection, folder)
    assert await connection.fetchval("SELECT count(*) FROM post.letters") == 0
    (folder / "0002_first_letter.sql").write_text(TWO)
    assert await migrated(connection, folder) == ["first_letter"]


async def test_two_at_once_take_turns(dsn, connection, folder):
    (folder / "0002_first_letter.sql").write_text(f"SELECT pg_sleep(0.2); {TWO}")
    async with connected(dsn) as other:
        applied = await asyncio.gather(migrated(connection, folder), migrated(other, folder))
    assert sorted(applied) == [[], ["letters", "first_letter"]]
    assert await connection.fetchval("SELECT count(*) FROM post.letters") == 1


async def test_schemas_have_their_own_count(connection, folder):
    await connection.execute("CREATE SCHEMA telegraph")
    await migrated(connection, folder)
    assert len(await migrate(connection, folder, "telegraph", ROLE, 16)) == 2
    assert await connection.fetchval("SELECT count(*) FROM telegraph.letters") == 1


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0002_second.sql"], "has no migration 0001 but has 0002_second"),
        (["0001_first.sql", "0003_third.sql"], "has no migration 0002 but has 0003_third"),
        (["0001_first.sql", "0001_other.sql"], "has no migration 0002 but has 0001_other"),
        (["1_first.sql"], "is not named NNNN_name.sql"),
        (["0001_First.sql"], "is not named NNNN_name.sql"),
        ([], "has no migrations"),
    ],
)
def test_numbers_without_a_gap_are_asked_for(tmp_path, names, complaint):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationsDiffer, match=complaint):
        found(tmp_path)


def test_a_folder_that_is_not_there_is_not_an_empty_success(tmp_path):
    with pytest.raises(MigrationsDiffer, match="has no migrations"):
        found(tmp_path / "nowhere")
