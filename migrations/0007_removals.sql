-- A server that is to be forgotten may take its time to end: the wish is kept, whoever sees the end.

ALTER TABLE servers ADD COLUMN remove_requested_at BIGINT;
CREATE INDEX servers_removals ON servers (remove_requested_at);
