-- +goose Up
ALTER TABLE signing_keys ADD COLUMN signs_from DATETIME NOT NULL DEFAULT '1970-01-01 00:00:00+00:00';
UPDATE signing_keys SET signs_from = created_at;

-- +goose Down
ALTER TABLE signing_keys DROP COLUMN signs_from;
