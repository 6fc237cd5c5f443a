-- +goose Up
-- tat is in microseconds since 1970, UTC. From then on the row says what its absence says.
CREATE TABLE throttle (
    key BYTEA PRIMARY KEY,
    tat BIGINT NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

-- +goose Down
DROP TABLE throttle;
