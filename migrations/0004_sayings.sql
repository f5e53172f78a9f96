-- What pages show in the reader's language: a key and values as JSON, beside the English text that
-- is for programs (and for programs of the time before this).

ALTER TABLE servers ADD COLUMN failure_saying TEXT;
ALTER TABLE server_steps ADD COLUMN saying TEXT;
