-- The machine's tables, the same in every deciding service's schema. What each column means stands at JournalRow, LedgerRow (bytes.py)
-- and Head (head.py). Bodies are bytea: what was received need not be text, and what is stored will be sealed.

-- One row a shard. Whoever holds its lock decides. It is rewritten by every batch, so it is kept alone on its page and without an index
-- on anything but its key (heap-only updates).
CREATE TABLE head (
    shard        integer PRIMARY KEY,
    epoch        bigint  NOT NULL DEFAULT 0,
    owner        text    NOT NULL DEFAULT '',
    entry        bigint  NOT NULL DEFAULT 0,
    journal_hash bytea   NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    "position"   bigint  NOT NULL DEFAULT 0,
    hash         bytea   NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    now          timestamptz NOT NULL DEFAULT 'epoch',
    policy       text    NOT NULL DEFAULT '',
    rules        integer NOT NULL DEFAULT 0,
    offsets      text    NOT NULL DEFAULT '{}',
    incarnations text    NOT NULL DEFAULT '{}',
    seen         text    NOT NULL DEFAULT '{}',
    attempts     integer NOT NULL DEFAULT 0,
    trying       text    NOT NULL DEFAULT '',
    sealed_at    timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 10);
INSERT INTO head (shard) SELECT generate_series(0, :shards - 1);

-- What we were told.
CREATE TABLE journal (
    shard          integer NOT NULL,
    entry          bigint  NOT NULL,
    topic          text    NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint  NOT NULL,
    until          bigint  NOT NULL,
    message_id     text    NOT NULL,
    type           text    NOT NULL,
    kind           text    NOT NULL,
    stream         uuid,
    key            bytea,
    headers        bytea   NOT NULL,
    body           bytea,
    sent_ms        bigint  NOT NULL,
    now            timestamptz NOT NULL,
    policy         text    NOT NULL,
    rules          integer NOT NULL,
    outcome        text    NOT NULL,
    reason         text    NOT NULL,
    refers         bigint  NOT NULL,
    first_position bigint  NOT NULL,
    events         integer NOT NULL,
    received_at    timestamptz NOT NULL,
    hash           bytea   NOT NULL,
    PRIMARY KEY (shard, entry)
) PARTITION BY LIST (shard);
CREATE INDEX journal_parked ON journal (shard, entry) WHERE outcome IN ('parked', 'waiting');

-- What we decided. It is the outbox, too.
CREATE TABLE ledger (
    shard       integer NOT NULL,
    "position"  bigint  NOT NULL,
    stream      uuid    NOT NULL,
    kind        text    NOT NULL,
    version     integer NOT NULL,
    type        text    NOT NULL,
    body        bytea   NOT NULL,
    entry       bigint  NOT NULL,
    now         timestamptz NOT NULL,
    actor       text    NOT NULL,
    message_id  text    NOT NULL,
    correlation uuid    NOT NULL,
    target      uuid,
    origin_id   text    NOT NULL,
    cause_hash  bytea   NOT NULL,
    hash        bytea   NOT NULL,
    PRIMARY KEY (shard, "position")
) PARTITION BY LIST (shard);
CREATE INDEX ledger_stream ON ledger (stream, version);

-- Both grow by pieces of ten million rows a shard, which can be archived and detached whole. What is there is not made again: to make a
-- table locks the one above it.
CREATE FUNCTION make_piece(grows text, of_shard integer, piece bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counted constant text := CASE grows WHEN 'journal' THEN 'entry' WHEN 'ledger' THEN 'position' END;
    size    constant bigint := 10000000;
    whole   constant text := format('%s_%s', grows, of_shard);
    part    constant text := format('%s_%s', whole, piece);
BEGIN
    IF to_regclass(format(':schema.%I', part)) IS NOT NULL THEN
        RETURN;
    END IF;
    IF counted IS NULL THEN
        RAISE EXCEPTION '% does not grow by pieces', grows;
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS :schema.%I PARTITION OF :schema.%I FOR VALUES IN (%s) PARTITION BY RANGE (%I)',
                   whole, grows, of_shard, counted);
    EXECUTE format('CREATE TABLE IF NOT EXISTS :schema.%I PARTITION OF :schema.%I FOR VALUES FROM (%s) TO (%s)',
                   part, whole, piece * size, (piece + 1) * size);
END $$;
SELECT make_piece(grows, shard, 0) FROM unnest(ARRAY['journal', 'ledger']) grows, generate_series(0, :shards - 1) shard;

-- The messages that were answered, by month of arrival, so that old ones go by dropping a table.
CREATE TABLE messages (
    shard          integer NOT NULL,
    message_id     text    NOT NULL,
    body           bytea   NOT NULL,
    entry          bigint  NOT NULL,
    first_position bigint  NOT NULL,
    events         integer NOT NULL,
    met_at         timestamptz NOT NULL,
    PRIMARY KEY (shard, message_id, met_at)
) PARTITION BY RANGE (met_at);

CREATE FUNCTION make_month(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month constant timestamptz := date_trunc('month', at, 'UTC');
    part  constant text := format('messages_%s', to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'));
BEGIN
    IF to_regclass(format(':schema.%I', part)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext(':schema.make_month'));  -- two shards may want the same month
    EXECUTE format('CREATE TABLE IF NOT EXISTS :schema.%I PARTITION OF :schema.messages FOR VALUES FROM (%L) TO (%L)',
                   part, month, date_trunc('month', month + interval '40 days', 'UTC'));
END $$;

-- Months of which no shard remembers a message any more: that ends after MESSAGES_REMEMBERED (deciding.py), 120 days, and a month goes
-- ten days later at the earliest. Each shard's time is its last batch's, which no clock alone could set.
CREATE FUNCTION drop_months() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kept constant text := (SELECT format('messages_%s', to_char(date_trunc('month', min(now) - interval '130 days', 'UTC') AT TIME ZONE 'UTC', 'YYYY_MM'))
                           FROM head WHERE now > 'epoch');
    part text;
BEGIN
    FOR part IN SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = ':schema.messages'::regclass AND relname < kept LOOP
        EXECUTE format('DROP TABLE IF EXISTS :schema.%I', part);
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    NULL;  -- another time
END $$;

-- A service makes room for itself without the right to make tables. A shard has one owner at a time, so only months are made by several.
-- Whoever is in the way of it is not waited for: there is room for a million more rows, and a week.
CREATE FUNCTION make_room(of_shard integer, journal_entry bigint, ledger_position bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
DECLARE
    size  constant bigint := 10000000;
    ahead constant bigint := 1000000;
BEGIN
    IF of_shard NOT BETWEEN 0 AND :shards - 1 OR at NOT BETWEEN '2000-01-01' AND '2200-01-01' THEN
        RAISE EXCEPTION 'no room is made for shard % at %', of_shard, at;
    END IF;
    PERFORM make_piece('journal', of_shard, (journal_entry + ahead) / size);
    PERFORM make_piece('ledger', of_shard, (ledger_position + ahead) / size);
    PERFORM make_month(at);
    PERFORM make_month(at + interval '7 days');
    PERFORM drop_months();
END $$;

-- What decide() needs next time: the fold of each stream's events, and the timers that it wants.
CREATE TABLE state (
    shard   integer NOT NULL,
    kind    text    NOT NULL,
    stream  uuid    NOT NULL,
    version integer NOT NULL,
    parked  bigint  NOT NULL,
    waiting integer NOT NULL,
    body    bytea   NOT NULL,
    PRIMARY KEY (shard, kind, stream)
) WITH (fillfactor = 50);

CREATE TABLE timers (
    shard      integer NOT NULL,
    kind       text    NOT NULL,
    stream     uuid    NOT NULL,
    timer      text    NOT NULL,
    due_at     timestamptz NOT NULL,
    generation integer NOT NULL,
    PRIMARY KEY (shard, kind, stream, timer)
) WITH (fillfactor = 50);
CREATE INDEX timers_due ON timers (shard, due_at, stream, timer);

-- Every policy that was ever in force, by its digest.
CREATE TABLE policy_versions (
    digest     text PRIMARY KEY,
    body       bytea NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Up to which position the relay had every row acknowledged, and when. The last one is its place.
CREATE TABLE relayed (
    shard      integer NOT NULL,
    "position" bigint  NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (shard, "position")
);

-- The service may add to what is for ever, and nothing else. It may change what can be made again.
GRANT SELECT, INSERT ON journal, ledger, messages, policy_versions, relayed TO :role;
GRANT SELECT, UPDATE ON head TO :role;
GRANT SELECT, INSERT, UPDATE, DELETE ON state, timers TO :role;
REVOKE EXECUTE ON FUNCTION make_piece(text, integer, bigint), make_month(timestamptz), drop_months(),
    make_room(integer, bigint, bigint, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_room(integer, bigint, bigint, timestamptz) TO :role;
