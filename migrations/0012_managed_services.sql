-- Services that the hub runs: which replica has each in hand, and how it is.
CREATE TABLE managed_services (
    name TEXT PRIMARY KEY,
    -- By which the spawner knows it; made once.
    key TEXT NOT NULL UNIQUE,
    lease_owner TEXT,
    lease_until BIGINT,
    -- Of what it was started with; when that changes it is started anew.
    digest TEXT,
    started_at BIGINT,
    -- Ends in a row that nobody asked for.
    failures BIGINT NOT NULL DEFAULT 0,
    -- Not before then, after it ended.
    start_at BIGINT,
    -- Why it ended last: in English, and as a saying.
    said TEXT,
    saying TEXT
);
