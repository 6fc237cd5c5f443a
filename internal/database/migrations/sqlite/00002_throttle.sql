-- +goose Up
-- tat is in microseconds since 1970, UTC. From then on the row says what its absence says.
CREATE TABLE throttle (
    key BLOB PRIMARY KEY NOT NULL,
    tat INTEGER NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

-- +goose Down
DROP TABLE throttle;
