-- Lists of administrators: a page of fifty thousand people or servers is read in its order.

CREATE INDEX users_created ON users (created_at, name);
CREATE INDEX users_activity ON users (COALESCE(last_activity_at, 0), created_at, name);
CREATE INDEX users_admins ON users (name) WHERE admin;
CREATE INDEX users_blocked ON users (name) WHERE blocked_at IS NOT NULL;

-- Since when a server is in its state.
CREATE INDEX servers_since ON servers (
    COALESCE(CASE state WHEN 'ready' THEN ready_at WHEN 'stopping' THEN stop_requested_at
        WHEN 'stopped' THEN stopped_at WHEN 'failed' THEN stopped_at ELSE requested_at END, 0), id);
CREATE INDEX servers_activity ON servers (COALESCE(last_activity_at, 0), id);
CREATE INDEX servers_requested ON servers (requested_at);

CREATE INDEX tokens_created ON tokens (created_at, id);
CREATE INDEX tokens_used ON tokens (COALESCE(last_used_at, 0), id);
CREATE INDEX sessions_created ON sessions (created_at);
