-- What the console knows: made of the services' events alone, and could be made again from them.

-- How far each ledger was taken in, and the hash there: equal hashes prove that every event was seen, in order, unchanged.
CREATE TABLE places (
    service     text    NOT NULL,
    shard       integer NOT NULL,
    "position"  bigint  NOT NULL DEFAULT 0,
    hash        bytea   NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    next_offset bigint  NOT NULL DEFAULT 0,
    incarnation text    NOT NULL DEFAULT '',
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, service)
) WITH (fillfactor = 20);

-- Which complaints are there, and where is each? One row a complaint. `card` has all that is shown of one; the columns have what is
-- searched by and what a list shows, so that no list reads cards.
CREATE TABLE complaints (
    id          uuid PRIMARY KEY,
    received_at timestamptz,
    updated_at  timestamptz NOT NULL,
    stage       text NOT NULL,
    source      text,
    ref         text,
    product     text,
    defect_kind text,
    severity    text,
    owner       text,
    ending      text,
    held        boolean NOT NULL,
    refusals    integer NOT NULL,
    conflicts   integer NOT NULL,
    parked      integer NOT NULL,
    broken      integer NOT NULL,
    next_promise_at timestamptz,
    summary     text,
    card        bytea NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX complaints_received ON complaints (received_at, id) WHERE received_at IS NOT NULL;
CREATE INDEX complaints_stage ON complaints (stage, received_at, id) WHERE received_at IS NOT NULL;
CREATE INDEX complaints_owner ON complaints (owner, received_at, id) WHERE received_at IS NOT NULL;
CREATE INDEX complaints_ref ON complaints (ref) WHERE received_at IS NOT NULL;

-- What happened to a complaint? Every event and refusal of every service, as it was written.
CREATE TABLE story (
    service     text    NOT NULL,
    shard       integer NOT NULL,
    "position"  bigint  NOT NULL,
    complaint   uuid    NOT NULL,
    stream      uuid    NOT NULL,
    kind        text    NOT NULL,
    version     integer NOT NULL,
    type        text    NOT NULL,
    at          timestamptz NOT NULL,
    actor       text    NOT NULL,
    message_id  text    NOT NULL,
    target      uuid,
    hash        bytea   NOT NULL,
    body        bytea   NOT NULL,
    PRIMARY KEY (shard, service, "position")
);
CREATE INDEX story_complaint ON story (complaint, at);
CREATE INDEX story_stream ON story (stream, at) WHERE stream <> complaint;

CREATE INDEX story_troubles ON story (type) WHERE type IN ('machine.CommandRefused.v1', 'machine.InputParked.v1');

-- What became of an input whose id is a UUID? Two senders may use one id, so the id alone names no input: its place in a ledger does.
-- `cause` is the hash of its journal row, which all of its events carry, one after another from `first` to `last`. `stream` is null where
-- it could not be read whom it concerns.
CREATE TABLE outcomes (
    message_id uuid    NOT NULL,
    service    text    NOT NULL,
    shard      integer NOT NULL,
    first      bigint  NOT NULL,
    last       bigint  NOT NULL,
    stream     uuid,
    outcome    text    NOT NULL,
    cause      bytea   NOT NULL,
    PRIMARY KEY (message_id, service, shard, first)
);

-- What was asked through the console, so that a key that is used again is recognised, whatever became of the first request.
CREATE TABLE asked (
    message_id uuid PRIMARY KEY,
    body       bytea NOT NULL,
    actor      text  NOT NULL,
    type       text  NOT NULL,
    stream     uuid  NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON places, complaints, story, outcomes, asked TO :role;
