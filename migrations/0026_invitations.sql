-- Links by which people make accounts of their own, each once.

CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    -- For whom, in the words of whoever made it.
    note TEXT NOT NULL,
    -- The groups that she is in then, as JSON.
    in_groups TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
