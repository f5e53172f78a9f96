-- What others did with somebody's servers, for her to see.

CREATE TABLE deeds (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- As it was called then; it may be gone now, or be called otherwise.
    server TEXT NOT NULL,
    -- opened, started, stopped, added, changed, removed
    what TEXT NOT NULL,
    -- A person's name, or `service:` and a service's.
    doer TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX deeds_of ON deeds (user_id, at);
