-- +goose Up
CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    bio           TEXT,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    disabled_at   DATETIME,
    last_login_at DATETIME,
    created_at    DATETIME NOT NULL,
    updated_at    DATETIME NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (email);

CREATE TABLE sessions (
    id              TEXT PRIMARY KEY NOT NULL,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation      INTEGER NOT NULL,
    counter         INTEGER NOT NULL,
    created_at      DATETIME NOT NULL,
    rotated_at      DATETIME NOT NULL,
    expires_at      DATETIME NOT NULL,
    idle_expires_at DATETIME NOT NULL,
    revoked_at      DATETIME,
    revoked_reason  TEXT,
    ip              TEXT NOT NULL,
    last_ip         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE one_time_tokens (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    digest     BLOB NOT NULL,
    expires_at DATETIME NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE UNIQUE INDEX one_time_tokens_digest_key ON one_time_tokens (digest);

CREATE TABLE signing_keys (
    generation INTEGER PRIMARY KEY NOT NULL,
    kid        TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    signs_from DATETIME NOT NULL
);
CREATE UNIQUE INDEX signing_keys_kid_key ON signing_keys (kid);

-- lease is set while an email is being sent, and due_at is then the time of the sender's last heartbeat.
-- dead_at is set if the email was given up.
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL,
    email      TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     DATETIME NOT NULL,
    lease      TEXT,
    last_error TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    dead_at    DATETIME
);
CREATE INDEX outbox_due_at_idx ON outbox (due_at) WHERE lease IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_lease_idx ON outbox (lease) WHERE lease IS NOT NULL;
CREATE INDEX outbox_dead_at_idx ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- tat, the theoretical arrival time, is in microseconds since 1970. A row whose tat has passed means the
-- same as no row.
CREATE TABLE throttle (
    key BLOB PRIMARY KEY NOT NULL,
    tat INTEGER NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

CREATE TABLE throttle_key (
    id     INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    sealed BLOB NOT NULL
);

CREATE TABLE known_networks (
    pseudonym BLOB PRIMARY KEY NOT NULL,
    user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    last_seen DATETIME NOT NULL
);
CREATE INDEX known_networks_user_id_idx ON known_networks (user_id);
CREATE INDEX known_networks_last_seen_idx ON known_networks (last_seen);

-- No foreign keys to users and sessions: events outlive them.
CREATE TABLE audit_events (
    id         TEXT PRIMARY KEY NOT NULL,
    at         DATETIME NOT NULL,
    kind       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    session_id TEXT NOT NULL,
    email      TEXT NOT NULL,
    request_id TEXT NOT NULL,
    ip         TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX audit_events_at_idx ON audit_events (at, id);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_email_idx ON audit_events (email, at);
