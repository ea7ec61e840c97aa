"""The page of the tables is the tables, as a database has them after every migration."""

import re

import asyncpg

from deploy.reference import tables

SECTION = re.compile(r"^(?:## (?P<part>.+)|### (?P<table>\w+)|\| `(?P<column>\w+)` \| (?P<type>\w+) \|.*)$", re.MULTILINE)
SCHEMAS = {"A deciding service": "intake", "The console": "console"}
COLUMNS = """
SELECT c.relname, a.attname, split_part(format_type(a.atttypid, NULL), ' ', 1) FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
SHORT = {"timestamp": "timestamptz"}
NOT_SHOWN = {"migrations"}
"""What makes the others."""


async def test_the_page_has_every_table_and_column_of_a_database(servers):
    installation = await servers.fresh_installation()
    connection = await asyncpg.connect(installation.owner_dsn)
    there = {
        (schema, name, column, SHORT.get(kind, kind).removesuffix("[]"))
        for schema in SCHEMAS.values()
        for name, column, kind in await connection.fetch(COLUMNS, schema)
        if name not in NOT_SHOWN
    }
    await connection.close()
    shown, schema, name = set(), "", ""
    for match in SECTION.finditer(tables.page()):
        if match["part"]:
            schema = SCHEMAS[match["part"]]
        name = match["table"] or name
        if match["column"]:
            shown.add((schema, name, match["column"], match["type"]))
    assert shown == there
