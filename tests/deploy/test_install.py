import asyncio
import base64
import hashlib
import hmac
import os
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from deploy.install import InstallationDiffers, install
from deploy.roles import PROCESSES, role, role_dsn
from deploy.topics import TOPICS, TopicsDiffer, admin, ensure, partitions
from shared.contract.envelope import SERVICES
from shared.settings import Settings
from tests.servers import database

TABLE = """
CREATE TABLE facts (shard integer CHECK (shard < :shards), fact text);
GRANT SELECT, INSERT ON facts TO :role;
"""
SECRET = "a ' quote, a \\ and a %"


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "0001_facts.sql").write_text(TABLE)
    return dict.fromkeys(PROCESSES, tmp_path)


@pytest.fixture
async def installation(servers, folders):
    return await servers.fresh_installation(folders)


@pytest.fixture(scope="module")
async def standing(servers, tmp_path_factory):
    """One for all tests that only look at what its database allows."""
    folder = tmp_path_factory.mktemp("migrations")
    (folder / "0001_facts.sql").write_text(TABLE)
    return await servers.fresh_installation(dict.fromkeys(PROCESSES, folder))


@asynccontextmanager
async def connected(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def again(installation, folders, **told):
    settings = installation.settings.model_copy(update=told)
    return install(installation.owner_dsn, installation.kafka, settings, folders)


async def everything_in(dsn):
    """Every object, right and setting of the database, as PostgreSQL's own catalogues have it."""
    async with connected(dsn) as connection:
        return [
            await connection.fetch("SELECT oid, relname, relacl::text FROM pg_class ORDER BY oid"),
            await connection.fetch("SELECT oid, nspname, nspacl::text FROM pg_namespace ORDER BY oid"),
            await connection.fetch("SELECT oid, datacl::text FROM pg_database ORDER BY oid"),
            await connection.fetch("SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2"),
            await connection.fetch("SELECT * FROM public.installation"),
        ]


async def test_an_installation_has_all_topics_and_schemas(servers, folders):
    await servers.without_topics()
    made = await install(await servers.fresh_database(), servers.kafka, Settings(shards=4), folders)
    assert made.topics == tuple(TOPICS)
    assert made.migrations == tuple(f"{service}/0001_facts" for service in PROCESSES)
    assert (made.generation, made.tenant, made.shards) == ("g1", "default", 4)


async def test_done_twice_it_changes_nothing(installation, folders):
    before = await everything_in(installation.owner_dsn)
    done = await again(installation, folders)
    assert (done.migrations, done.topics) == ((), ())
    assert await everything_in(installation.owner_dsn) == before


async def test_it_keeps_its_number_of_shards_whatever_the_settings_say_later(installation, folders):
    assert (await again(installation, folders, shards=32)).shards == 4


async def test_the_database_is_made_where_it_is_not_there_yet(servers, folders):
    await servers.without_topics()
    dsn = database(servers.owner_dsn, "not%20there%20yet")
    await install(dsn, servers.kafka, Settings(shards=1), folders)
    async with connected(dsn) as connection:
        assert await connection.fetchval("SELECT current_database()") == "not there yet"
        await connection.execute("DROP SCHEMA intake CASCADE")


async def test_two_at_once_make_one(servers, folders):
    await servers.without_topics()
    dsn = await servers.fresh_database()
    settings = Settings(shards=2)
    done = await asyncio.gather(*(install(dsn, servers.kafka, settings, folders) for _ in range(2)))
    assert sorted(len(one.topics) for one in done) == [0, len(TOPICS)]
    assert sorted(len(one.migrations) for one in done) == [0, len(PROCESSES)]


async def test_another_cluster_behind_the_address_is_refused(installation, folders):
    async with connected(installation.owner_dsn) as connection:
        await connection.execute("UPDATE public.installation SET cluster_id = 'the one of yesterday'")
    with pytest.raises(InstallationDiffers, match="belongs to the one of yesterday"):
        await again(installation, folders)


async def test_an_installation_of_another_tenant_is_refused(installation, folders):
    async with connected(installation.owner_dsn) as connection:
        await connection.execute("UPDATE public.installation SET tenant = 'acme'")
    with pytest.raises(InstallationDiffers, match="made for the tenant 'acme', which this release does not serve"):
        await again(installation, folders)


async def test_topics_that_upstreams_have_for_themselves_are_made_too_and_can_be_added_later(servers, folders):
    await servers.without_topics()
    dsn, own = await servers.fresh_database(), [f"complaints.submissions.{name}" for name in ("shop", "mail")]
    one = Settings(shards=2, submissions=f"complaints.submissions,{own[0]}")
    both = Settings(shards=2, submissions=f"complaints.submissions, {', '.join(own)}")
    assert (await install(dsn, servers.kafka, one, folders)).topics == (*TOPICS, own[0])
    assert (await install(dsn, servers.kafka, both, folders)).topics == (own[1],)
    async with admin(servers.kafka) as client:
        there = await partitions(client)
        assert [there[topic] for topic in own] == [2, 2]
        await client.delete_topics(own)


async def test_topics_with_another_number_of_partitions_are_refused_and_the_next_try_may_name_that_number(servers, folders):
    await servers.without_topics()
    dsn = await servers.fresh_database()
    async with admin(servers.kafka) as client:
        await ensure(client, 3)
    with pytest.raises(TopicsDiffer, match="has 3"):
        await install(dsn, servers.kafka, Settings(shards=4), folders)
    assert (await install(dsn, servers.kafka, Settings(shards=3), folders)).shards == 3


async def test_a_new_database_beside_the_facts_of_an_old_one_is_refused(servers, installation, folders):
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka) as producer:
        await producer.send_and_wait("resolution.events", b"told", partition=3)
    with pytest.raises(InstallationDiffers, match=r"new, but resolution\.events in this Kafka already hold"):
        await install(await servers.fresh_database(), servers.kafka, installation.settings, folders)


async def test_what_upstreams_sent_before_there_was_an_installation_is_welcome(servers, installation, folders):
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka) as producer:
        await producer.send_and_wait("complaints.submissions", b"{}", key=b"key")
    done = await install(await servers.fresh_database(), servers.kafka, installation.settings, folders)
    assert len(done.migrations) == len(PROCESSES)


async def test_servers_that_do_not_answer_are_named(servers, folders):
    with pytest.raises(ConnectionError, match=r"no PostgreSQL answers at 127\.0\.0\.1:1"):
        await install("postgresql://someone@127.0.0.1:1/makegood", servers.kafka, Settings(), folders)
    with pytest.raises(ConnectionError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        await install(await servers.fresh_database(), "127.0.0.1:1", Settings(), folders)


async def test_a_topic_that_was_deleted_is_made_again(installation, folders):
    async with admin(installation.kafka) as client:
        await client.delete_topics(["policies"])
        while "policies" in await partitions(client):  # noqa: ASYNC110 - Kafka has no event to wait for
            await asyncio.sleep(0.01)
    assert (await again(installation, folders)).topics == ("policies",)


@pytest.mark.parametrize("service", PROCESSES)
async def test_a_service_works_in_its_own_schema_and_sees_no_other(standing, service):
    others = [other for other in PROCESSES if other != service]
    async with connected(standing.role_dsn(service)) as connection:
        await connection.execute("INSERT INTO facts VALUES (0, 'mine')")
        assert await connection.fetchval("SELECT fact FROM facts") == "mine"
        assert await connection.fetchval("SELECT shards FROM public.installation") == 4
        for other in others:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {other}.facts")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SET ROLE {role(other)}")


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE facts SET fact = 'never said'",
        "DELETE FROM facts",
        "TRUNCATE facts",
        "DROP TABLE facts",
        "ALTER TABLE facts ADD COLUMN more text",
        "CREATE TABLE more (letter text)",
        "CREATE TABLE public.more (letter text)",
        "CREATE SCHEMA more",
        "CREATE ROLE more",
        "CREATE DATABASE more",
        "UPDATE public.installation SET shards = 1",
        "DELETE FROM public.installation",
        "UPDATE migrations SET checksum = ''",
        "SELECT * FROM migrations",
        "COPY facts TO '/tmp/facts'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
async def test_a_service_may_only_do_what_the_migrations_grant(standing, forbidden):
    async with connected(standing.role_dsn("intake")) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)


@pytest.fixture(scope="module")
async def whole(servers):
    """What every installation gets: the shipped migrations."""
    return await servers.fresh_installation()


FOR_EVER = ("journal", "ledger", "messages", "policy_versions")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("table", FOR_EVER)
async def test_what_was_told_and_decided_can_be_added_to_by_its_service_and_never_changed_or_removed(whole, service, table):
    async with connected(whole.role_dsn(service)) as connection:
        allowed = [
            privilege
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
            if await connection.fetchval("SELECT has_table_privilege($1::text, $2::text)", table, privilege)
        ]
        assert allowed == ["SELECT", "INSERT"]
        for forbidden in (f"UPDATE {table} SET body = ''", f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)


@pytest.mark.parametrize("service", SERVICES)
async def test_nor_through_the_pieces_it_is_kept_in(whole, service):
    async with connected(whole.role_dsn(service)) as connection:
        pieces = await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE relkind IN ('r', 'p') "
            "AND relnamespace = $1::text::regnamespace",
            service,
        )
        assert len(pieces) >= 2 * whole.installed.shards
        for (piece,) in pieces:
            for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
                assert not await connection.fetchval("SELECT has_table_privilege($1::text, $2::text)", piece, privilege), (piece, privilege)


def is_password(said, stored):
    """Whether a password fits what PostgreSQL keeps of it: `SCRAM-SHA-256$<rounds>:<salt>$<stored key>:<server key>` (RFC 5803)."""
    _, terms, keys = stored.split("$")
    rounds, salt = terms.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", said.encode(), base64.b64decode(salt), int(rounds))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64decode(keys.split(":")[0]) == hashlib.sha256(client_key).digest()


async def test_roles_get_the_password_that_is_set_and_keep_it_when_none_is(installation, folders, monkeypatch):
    usual = os.environ["MAKEGOOD_ROLE_PASSWORD"]
    try:
        monkeypatch.setenv("MAKEGOOD_ROLE_PASSWORD", SECRET)
        await again(installation, folders)
        monkeypatch.delenv("MAKEGOOD_ROLE_PASSWORD")
        await again(installation, folders)
        async with connected(installation.owner_dsn) as connection:
            stored = await connection.fetch("SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'makegood\\_%'")
        assert [is_password(SECRET, password) for (password,) in stored] == [True] * len(PROCESSES)
        assert not any(is_password(usual, password) for (password,) in stored)
    finally:
        monkeypatch.setenv("MAKEGOOD_ROLE_PASSWORD", usual)
        await again(installation, folders)


def test_a_services_dsn_is_the_owners_with_another_login(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_ROLE_PASSWORD", "a/b@c")
    parts = urlsplit(role_dsn("postgresql://owner:secret@db.example:5433/makegood?ssl=require", "console"))
    assert (parts.username, parts.password) == ("makegood_console", "a%2Fb%40c")
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("db.example", 5433, "/makegood", "ssl=require")
    monkeypatch.delenv("MAKEGOOD_ROLE_PASSWORD")
    assert role_dsn("postgresql:///makegood", "intake") == "postgresql://makegood_intake@/makegood"
