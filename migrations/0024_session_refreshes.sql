-- What a provider gave at a log-in so that it can be asked about her again, sealed; when that is due, when
-- it last confirmed her and with what, how often it could not, and which hub asks just now until when.

ALTER TABLE sessions ADD COLUMN refresh_grant TEXT;
ALTER TABLE sessions ADD COLUMN refresh_at BIGINT;
ALTER TABLE sessions ADD COLUMN refreshed_at BIGINT;
ALTER TABLE sessions ADD COLUMN refresh_told TEXT;
ALTER TABLE sessions ADD COLUMN refresh_failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN refresh_by TEXT;
ALTER TABLE sessions ADD COLUMN refresh_until BIGINT;

CREATE INDEX sessions_refresh_at ON sessions (method, refresh_at) WHERE refresh_at IS NOT NULL;

-- Why sessions ended that nobody had logged out, for the next page of that browser.
CREATE TABLE session_ends (
    cookie_hash TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    until BIGINT NOT NULL
);
