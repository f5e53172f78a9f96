-- Which session at the provider a browser's session here began with, so that it ends with that.

ALTER TABLE sessions ADD COLUMN elsewhere TEXT;

CREATE INDEX sessions_elsewhere ON sessions (elsewhere) WHERE elsewhere IS NOT NULL;
