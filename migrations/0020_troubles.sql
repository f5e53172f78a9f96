-- Why a stop does not work, as long as it does not.

ALTER TABLE servers ADD COLUMN stop_trouble TEXT;
ALTER TABLE servers ADD COLUMN stop_trouble_saying TEXT;
