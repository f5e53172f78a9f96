-- Starts wait in a line for a place: when a row was given one, and when it gave it back. Kept until
-- the row gets its next, so that the line can be fair and the wait can be estimated.

ALTER TABLE servers ADD COLUMN placed_at BIGINT;
ALTER TABLE servers ADD COLUMN unplaced_at BIGINT;
CREATE INDEX servers_placed ON servers (placed_at);
CREATE INDEX servers_unplaced ON servers (unplaced_at);
