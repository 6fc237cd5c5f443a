-- +goose Up
CREATE TABLE known_networks (
    user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network   BLOB NOT NULL,
    last_seen DATETIME NOT NULL,
    PRIMARY KEY (user_id, network)
);

-- +goose Down
DROP TABLE known_networks;
