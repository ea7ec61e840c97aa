-- Which service was asked, where the type of what was asked does not say it: what is asked of a shard is asked of any service alike.
ALTER TABLE asked ADD COLUMN service text;
