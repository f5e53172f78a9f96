-- Groups have properties (a JSON object); services have a route, which the configuration names.

ALTER TABLE groups ADD COLUMN properties TEXT NOT NULL DEFAULT '{}';

CREATE TABLE services (
    name TEXT PRIMARY KEY,
    -- Where it answers: http://10.0.0.5:9000
    url TEXT NOT NULL
);
