-- People, how they prove who they are, and what they hold.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT,
    admin BOOLEAN NOT NULL,
    -- Folder or sub-path of the home: made once, never derived again.
    home TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    last_activity_at BIGINT,
    blocked_at BIGINT
);

CREATE TABLE local_accounts (
    user_name TEXT PRIMARY KEY,
    -- argon2id in PHC form.
    password_hash TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Failed sign-ins, counted per account and per address in a moving window.
CREATE TABLE sign_in_failures (
    subject TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    window_started_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

-- A browser that is signed in. Only hashes of what the browser holds are kept.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    -- Hash of the hub's own cookie.
    cookie_hash TEXT NOT NULL UNIQUE,
    -- Hash of the cookie that opens the proxy to this person's servers.
    access_hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT,
    agent TEXT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    note TEXT NOT NULL,
    -- JSON list of scopes as granted.
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at BIGINT,
    -- The browser session behind an OAuth token; it dies with it.
    session_id TEXT,
    oauth_client TEXT,
    -- The server that holds this token; it dies with its stop.
    server_id TEXT
);
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_session ON tokens (session_id);
CREATE INDEX tokens_client ON tokens (oauth_client);
CREATE INDEX tokens_server ON tokens (server_id);
CREATE INDEX tokens_expires ON tokens (expires_at);

CREATE TABLE oauth_codes (
    hash TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    scopes TEXT NOT NULL,
    challenge TEXT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX oauth_codes_expires ON oauth_codes (expires_at);
