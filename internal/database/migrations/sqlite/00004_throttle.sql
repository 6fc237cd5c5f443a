-- +goose Up
-- tat is in microseconds since 1970, UTC. From then on the row says what its absence says.
CREATE TABLE throttle (
    key BLOB PRIMARY KEY NOT NULL,
    tat INTEGER NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

CREATE TABLE known_networks (
    pseudonym BLOB PRIMARY KEY NOT NULL,
    user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    last_seen DATETIME NOT NULL
);
CREATE INDEX known_networks_user_id_idx ON known_networks (user_id);
CREATE INDEX known_networks_last_seen_idx ON known_networks (last_seen);

-- +goose Down
DROP TABLE known_networks;
DROP TABLE throttle;
