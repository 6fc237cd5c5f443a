-- +goose Up
INSERT INTO additive_migrations (version_id) VALUES (4);

-- Finds the valid sessions of a user among many others, and all of them for the foreign key. A refresh changes no
-- column of an index, so its updates stay HOT on PostgreSQL.
CREATE INDEX sessions_user_idx ON sessions (user_id, generation, revoked_at);
DROP INDEX sessions_user_id_idx;
DROP INDEX sessions_expires_at_idx;

CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);
CREATE INDEX audit_events_kind_idx ON audit_events (kind, at, id);
