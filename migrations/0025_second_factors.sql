-- What people prove themselves by beside a password: an app that makes codes, and codes for when it is lost.

CREATE TABLE second_factors (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- The key that the app has, sealed.
    key TEXT NOT NULL,
    -- The newest step of time whose code was taken: none is taken twice.
    step BIGINT NOT NULL,
    since BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- What happened to it, for her to see.
CREATE TABLE second_factor_events (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- set_up, moved, codes, recovery, wrong, switched_off, taken_off
    what TEXT NOT NULL,
    -- Who it was, if somebody else.
    doer TEXT,
    -- From where, if that says something.
    address TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX second_factor_events_of ON second_factor_events (user_id, at);
