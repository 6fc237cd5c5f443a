-- +goose Up
-- Not additive: older programs would start sessions without the second factor.

-- When the user last proved the identity, and how: the claims auth_time and amr, separated by spaces.
ALTER TABLE sessions ADD COLUMN auth_time DATETIME NOT NULL DEFAULT 0;
UPDATE sessions SET auth_time = created_at;
ALTER TABLE sessions ADD COLUMN amr TEXT NOT NULL DEFAULT 'pwd';
-- The passkey that the session was started with.
ALTER TABLE sessions ADD COLUMN passkey_id TEXT;

-- When the user first got another email. Factors that were added since are removed if the change is undone.
ALTER TABLE previous_emails ADD COLUMN changed_at DATETIME NOT NULL DEFAULT 0;
UPDATE previous_emails SET changed_at = expires_at - 7 * 24 * 60 * 60 * 1000000;

-- confirmed_at is null until the user has entered the first code. last_step is the time step of the last code that was
-- used. failures counts the wrong codes since then.
CREATE TABLE totp_factors (
    user_id      TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    sealed       BLOB NOT NULL,
    created_at   DATETIME NOT NULL,
    confirmed_at DATETIME,
    last_step    INTEGER NOT NULL,
    failures     INTEGER NOT NULL
);

CREATE TABLE recovery_codes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest     BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (user_id, digest)
);

-- sign_count, aaguid, transports and the backup columns are those of WebAuthn Level 3.
CREATE TABLE passkeys (
    id              TEXT PRIMARY KEY NOT NULL,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id   BLOB NOT NULL,
    public_key      BLOB NOT NULL,
    sign_count      INTEGER NOT NULL,
    aaguid          BLOB NOT NULL,
    transports      TEXT NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backed_up       BOOLEAN NOT NULL,
    name            TEXT NOT NULL,
    created_at      DATETIME NOT NULL,
    last_used_at    DATETIME
);
CREATE UNIQUE INDEX passkeys_credential_id_key ON passkeys (credential_id);
CREATE INDEX passkeys_user_id_idx ON passkeys (user_id);

-- The challenges that were used, until they expire.
CREATE TABLE used_challenges (
    digest     BLOB PRIMARY KEY NOT NULL,
    expires_at DATETIME NOT NULL
);
CREATE INDEX used_challenges_expires_at_idx ON used_challenges (expires_at);
