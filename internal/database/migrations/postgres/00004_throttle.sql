-- +goose Up
-- tat is in microseconds since 1970, UTC. From then on the row says what its absence says.
CREATE TABLE throttle (
    key BYTEA PRIMARY KEY,
    tat BIGINT NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

CREATE TABLE known_networks (
    pseudonym BYTEA PRIMARY KEY,
    user_id   UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    last_seen TIMESTAMPTZ NOT NULL
);
CREATE INDEX known_networks_user_id_idx ON known_networks (user_id);
CREATE INDEX known_networks_last_seen_idx ON known_networks (last_seen);

-- +goose Down
DROP TABLE known_networks;
DROP TABLE throttle;
