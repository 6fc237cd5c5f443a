-- +goose Up
CREATE TABLE users (
    id            UUID PRIMARY KEY,
    name          TEXT NOT NULL,
    bio           TEXT,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    generation    BIGINT NOT NULL,
    disabled_at   TIMESTAMPTZ,
    last_login_at TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (email);

CREATE TABLE sessions (
    id              UUID PRIMARY KEY,
    user_id         UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation      BIGINT NOT NULL,
    counter         BIGINT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    rotated_at      TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,
    idle_expires_at TIMESTAMPTZ NOT NULL,
    revoked_at      TIMESTAMPTZ,
    revoked_reason  TEXT,
    ip              TEXT NOT NULL,
    last_ip         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE one_time_tokens (
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    digest     BYTEA NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE UNIQUE INDEX one_time_tokens_digest_key ON one_time_tokens (digest);

CREATE TABLE signing_keys (
    generation BIGINT PRIMARY KEY,
    kid        TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    signs_from TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX signing_keys_kid_key ON signing_keys (kid);

-- lease is set while an email is being sent, and due_at is then the time of the sender's last heartbeat.
-- dead_at is set if the email was given up.
CREATE TABLE outbox (
    id         UUID PRIMARY KEY,
    kind       TEXT NOT NULL,
    email      TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL,
    lease      UUID,
    last_error TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    dead_at    TIMESTAMPTZ
);
CREATE INDEX outbox_due_at_idx ON outbox (due_at) WHERE lease IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_lease_idx ON outbox (lease) WHERE lease IS NOT NULL;
CREATE INDEX outbox_dead_at_idx ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- tat, the theoretical arrival time, is in microseconds since 1970. A row whose tat has passed means the
-- same as no row.
CREATE TABLE throttle (
    key BYTEA PRIMARY KEY,
    tat BIGINT NOT NULL
);
CREATE INDEX throttle_tat_idx ON throttle (tat);

CREATE TABLE throttle_key (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BYTEA NOT NULL
);

CREATE TABLE known_networks (
    pseudonym BYTEA PRIMARY KEY,
    user_id   UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    last_seen TIMESTAMPTZ NOT NULL
);
CREATE INDEX known_networks_user_id_idx ON known_networks (user_id);
CREATE INDEX known_networks_last_seen_idx ON known_networks (last_seen);

-- No foreign keys to users and sessions: events outlive them.
CREATE TABLE audit_events (
    id         UUID PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    kind       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    UUID NOT NULL,
    session_id UUID NOT NULL,
    email      TEXT NOT NULL,
    request_id TEXT NOT NULL,
    ip         TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX audit_events_at_idx ON audit_events (at, id);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_email_idx ON audit_events (email, at);
