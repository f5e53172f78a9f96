-- Rolling upgrades: the step that a program must know to go on with this database, 0 if any can.

ALTER TABLE schema_steps ADD COLUMN needs BIGINT NOT NULL DEFAULT 0;
