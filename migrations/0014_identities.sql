-- Who somebody is at a place that Lyceum does not keep: that and nothing else says whose account it is.
CREATE TABLE identities (
    -- Where, and by which mark there; a name may change, these don't.
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    -- The groups she is in because she came by this, a list in JSON: what is taken back when the place no
    -- longer tells them.
    groups TEXT NOT NULL DEFAULT '[]',
    -- Whether she is an administrator for the same reason.
    admin BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);
-- Ways out of the site that have led back: each does so once.
CREATE TABLE sign_in_returns (
    journey TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_returns_expire ON sign_in_returns (expires_at);
-- By which way in a session began; nothing: by a password.
ALTER TABLE sessions ADD COLUMN method TEXT;
