-- Inputs that are decided once more: by the input that they were, and those that wait on a stream, the oldest first.
CREATE INDEX journal_again ON journal (shard, refers) WHERE topic = '' AND refers > 0;
CREATE INDEX journal_waiting ON journal (shard, stream, entry) WHERE outcome = 'waiting';
