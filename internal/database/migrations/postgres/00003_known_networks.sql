-- +goose Up
CREATE TABLE known_networks (
    user_id   UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network   BYTEA NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, network)
);

-- +goose Down
DROP TABLE known_networks;
