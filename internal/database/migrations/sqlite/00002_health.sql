-- +goose Up

-- The migrations that are additive: a program from before them still works with the schema, because they only add what
-- it does not use. Such a migration inserts its own version, as this one does below.
CREATE TABLE additive_migrations (
    version_id INTEGER PRIMARY KEY NOT NULL
);
INSERT INTO additive_migrations (version_id) VALUES (2);

-- Servers update the one row to check that the database accepts writes.
CREATE TABLE health (
    id         INTEGER PRIMARY KEY NOT NULL,
    checked_at DATETIME NOT NULL
);
INSERT INTO health (id, checked_at) VALUES (1, 0);
