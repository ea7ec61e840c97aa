CREATE TABLE letters (letter text NOT NULL);
GRANT SELECT, INSERT ON letters TO :role;
