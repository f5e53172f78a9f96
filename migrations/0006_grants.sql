-- Groups have properties (a JSON object). Services have a route; those that the API made are here whole.

ALTER TABLE groups ADD COLUMN properties TEXT NOT NULL DEFAULT '{}';

CREATE TABLE services (
    name TEXT PRIMARY KEY,
    -- Where it answers: http://10.0.0.5:9000
    url TEXT,
    -- What the API was told of it (JSON). The configuration's services have none.
    made TEXT,
    token_hash TEXT UNIQUE,
    client_id TEXT UNIQUE
);
