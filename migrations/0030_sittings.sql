-- Exams to which people come in with codes on paper.

CREATE TABLE sittings (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    -- The id of a course, for whoever reads the list.
    course TEXT,
    begins_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- From where codes are good, as JSON; from anywhere: an empty list.
    networks TEXT NOT NULL,
    -- Who looks after it besides administrators, as JSON: ids of accounts, and what they were called when named.
    invigilators TEXT NOT NULL,
    made_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sittings_by_end ON sittings (ends_at);

-- One for each seat or person. A new code for a place is a new row, the one before is taken back.
CREATE TABLE sitting_codes (
    id TEXT PRIMARY KEY,
    sitting_id TEXT NOT NULL REFERENCES sittings (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    seat TEXT NOT NULL,
    -- Whose account it opens.
    user_name TEXT NOT NULL,
    -- Whether that account is made for the sitting, and its name kept for it.
    is_numbered BOOLEAN NOT NULL,
    -- The seat's own address or network.
    network TEXT,
    -- With a key that is not in the database.
    hash TEXT NOT NULL UNIQUE,
    made_at BIGINT NOT NULL,
    used_at BIGINT,
    used_address TEXT,
    session_id TEXT,
    revoked_at BIGINT
);
CREATE INDEX sitting_codes_of ON sitting_codes (sitting_id, place);
CREATE INDEX sitting_codes_for ON sitting_codes (user_name);
