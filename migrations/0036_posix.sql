-- Numbers of people for files: uid, gid and further groups.

-- Whose each uid is, for ever: also when she is gone it is given to nobody else.
CREATE TABLE posix_uids (
    uid BIGINT PRIMARY KEY,
    -- The id of her account. It may be gone.
    owner TEXT NOT NULL,
    -- What she was called when it was given.
    owner_name TEXT NOT NULL,
    -- A hash of her mark at the place that told it: by it she is the same person once more.
    mark TEXT,
    given_by TEXT NOT NULL,
    given_at BIGINT NOT NULL
);

CREATE TABLE posix_people (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    uid BIGINT NOT NULL UNIQUE REFERENCES posix_uids (uid),
    gid BIGINT,
    -- What the group of that number is called.
    group_name TEXT,
    -- Numbers of further groups, as a list in JSON.
    gids TEXT NOT NULL,
    -- An administrator said all but the uid: what is told elsewhere does not change it.
    by_hand BOOLEAN NOT NULL
);
