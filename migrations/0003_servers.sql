-- Notebook servers: the row is the truth, a replica that works on it holds a short lease.

CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    -- What the spawner calls it (process folder, pod): made once, unique for ever.
    key TEXT NOT NULL UNIQUE,
    -- The server's OAuth client: made once too, since `a-b` + `` and `a` + `b` would meet.
    client_id TEXT NOT NULL UNIQUE,
    display_name TEXT,
    -- stopped, queued, starting, ready, stopping, failed
    state TEXT NOT NULL,
    -- Counts starts; steps and tokens of an earlier start can't be taken for this one's.
    generation BIGINT NOT NULL,
    spec TEXT,
    user_options TEXT NOT NULL,
    -- Where the running server answers: http://127.0.0.1:41234
    address TEXT,
    -- Why the last start failed, in words for its owner.
    failure TEXT,
    created_at BIGINT NOT NULL,
    requested_at BIGINT,
    started_at BIGINT,
    ready_at BIGINT,
    stopped_at BIGINT,
    last_activity_at BIGINT,
    stop_requested_at BIGINT,
    lease_owner TEXT,
    lease_until BIGINT,
    UNIQUE (user_id, name)
);
CREATE INDEX servers_state ON servers (state, lease_until);

-- What happened on the way up, for the progress page.
CREATE TABLE server_steps (
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    progress BIGINT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (server_id, generation, seq)
);
