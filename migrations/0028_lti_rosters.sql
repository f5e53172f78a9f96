-- Courses at learning platforms of which the platform tells who is in them, and when it is asked next.
CREATE TABLE lti_rosters (
    -- The id of the way in, and by what the course there is known here: `context`, `label` or `link`.
    platform TEXT NOT NULL,
    known_by TEXT NOT NULL,
    value TEXT NOT NULL,
    -- The platform's own mark for the course, the name of this tool there, and where it tells.
    context TEXT NOT NULL,
    client TEXT NOT NULL,
    url TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    -- The replica that asks, and until when it has that to itself.
    lease_owner TEXT,
    lease_until BIGINT,
    PRIMARY KEY (platform, known_by, value)
);
CREATE INDEX lti_rosters_due ON lti_rosters (due_at);
