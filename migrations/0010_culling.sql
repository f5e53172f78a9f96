-- What a server's last start was made from; why its stop was asked for; those that nobody uses are
-- found without a look at all.

ALTER TABLE servers ADD COLUMN profile TEXT;
ALTER TABLE servers ADD COLUMN course TEXT;
-- What starts have in common that fail together: the profile, or else the command.
ALTER TABLE servers ADD COLUMN environment TEXT;
ALTER TABLE servers ADD COLUMN stop_reason TEXT;
ALTER TABLE servers ADD COLUMN stop_reason_saying TEXT;
CREATE INDEX servers_unused ON servers (last_activity_at) WHERE state = 'ready';
CREATE INDEX servers_old ON servers (ready_at) WHERE state = 'ready';

-- Whose starts of an environment have failed since one of it went well.
CREATE TABLE failing_starts (
    environment TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    times BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    PRIMARY KEY (environment, user_id)
);
