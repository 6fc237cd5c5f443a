-- +goose Up
ALTER TABLE users ADD COLUMN email_verified_at DATETIME;

-- The email that the token was sent to; empty if an operator made it.
ALTER TABLE one_time_tokens ADD COLUMN email TEXT NOT NULL DEFAULT '';

-- The account that the email is about, or the zero UUID.
ALTER TABLE outbox ADD COLUMN user_id TEXT NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';

-- The verified emails that a user had before a change, until the change cannot be undone any more. position is the
-- order of the changes.
CREATE TABLE previous_emails (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    expires_at DATETIME NOT NULL,
    PRIMARY KEY (user_id, email)
);
CREATE UNIQUE INDEX previous_emails_digest_key ON previous_emails (digest);
CREATE INDEX previous_emails_email_idx ON previous_emails (email);
CREATE INDEX previous_emails_expires_at_idx ON previous_emails (expires_at);
