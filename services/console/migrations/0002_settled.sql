-- What was parked, or waited, is decided after all: what became of it then takes the place of what was known until then. `entry` is where
-- it lies in its journal, while it is parked or waits. `came` is where it first had an outcome: its place among the inputs of one id.
ALTER TABLE outcomes ADD COLUMN entry bigint, ADD COLUMN came bigint;
UPDATE outcomes SET came = first;
UPDATE outcomes SET entry = (convert_from(story.body, 'UTF8')::json ->> 'entry')::bigint FROM story
    WHERE (story.shard, story.service, story."position") = (outcomes.shard, outcomes.service, outcomes.first)
    AND outcome IN ('parked', 'waiting');
ALTER TABLE outcomes ALTER COLUMN came SET NOT NULL;

DROP INDEX story_troubles;
CREATE INDEX story_troubles ON story (type)
    WHERE type IN ('machine.CommandRefused.v1', 'machine.InputParked.v1', 'machine.InputTakenUp.v1');
