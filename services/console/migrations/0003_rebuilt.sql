-- When was a projection made again from the ledgers, and was it meant to differ from the one whose place it took?
CREATE TABLE rebuilt (
    projection  text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    release     text        NOT NULL,
    events      bigint      NOT NULL,
    rows_before bigint      NOT NULL,
    rows_after  bigint      NOT NULL,
    reason      text        NOT NULL,
    PRIMARY KEY (projection, at)
);
