-- Why a stop does not work, as long as it does not; and what went wrong with servers lately, kept though
-- the next start goes well.

ALTER TABLE servers ADD COLUMN stop_trouble TEXT;
ALTER TABLE servers ADD COLUMN stop_trouble_saying TEXT;

CREATE TABLE server_failures (
    id TEXT PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    failure TEXT NOT NULL,
    failure_saying TEXT
);
CREATE INDEX server_failures_at ON server_failures (at);
CREATE INDEX server_failures_of ON server_failures (server_id);
