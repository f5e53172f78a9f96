-- Servers that are shared: with a person or a group, or with whoever comes with a code.

CREATE TABLE shares (
    id TEXT PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    -- One of these two.
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    group_id TEXT REFERENCES groups (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    UNIQUE (server_id, user_id),
    UNIQUE (server_id, group_id)
);
CREATE INDEX shares_user ON shares (user_id);
CREATE INDEX shares_group ON shares (group_id);

-- What a share lets do, and who gave that: it holds for as long as the giver may give it.
CREATE TABLE share_scopes (
    share_id TEXT NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    -- Without a filter: it is always the server.
    scope TEXT NOT NULL,
    -- The id of a person, or service/NAME.
    giver TEXT NOT NULL,
    PRIMARY KEY (share_id, scope, giver)
);
CREATE INDEX share_scopes_giver ON share_scopes (giver);

CREATE TABLE share_codes (
    id TEXT PRIMARY KEY,
    -- Of the code; it is shown once and not kept.
    hash TEXT NOT NULL UNIQUE,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    -- JSON list of scopes without filters.
    scopes TEXT NOT NULL,
    giver TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    exchange_count BIGINT NOT NULL,
    last_exchanged_at BIGINT
);
CREATE INDEX share_codes_server ON share_codes (server_id);
CREATE INDEX share_codes_expires ON share_codes (expires_at);
