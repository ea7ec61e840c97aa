-- Who had it made again, and answers for it: a person. Empty where it was made before this was kept.
ALTER TABLE rebuilt ADD COLUMN actor text NOT NULL DEFAULT '';
ALTER TABLE rebuilt ALTER COLUMN actor DROP DEFAULT;
