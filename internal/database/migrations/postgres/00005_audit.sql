-- +goose Up
-- No reference to users or sessions: the record outlives them.
CREATE TABLE audit_events (
    id         UUID PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    kind       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    UUID NOT NULL,
    session_id UUID NOT NULL,
    email      TEXT NOT NULL,
    request_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX audit_events_at_idx ON audit_events (at, id);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_email_idx ON audit_events (email, at);

-- +goose Down
DROP TABLE audit_events;
