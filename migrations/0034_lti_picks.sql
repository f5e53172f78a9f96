-- What learning platforms ask people who teach there to pick, until it is picked or forgotten.
CREATE TABLE lti_picks (
    -- A hash of what stands in the page's address.
    id TEXT PRIMARY KEY,
    -- Who was asked.
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The id of the way in, and what it wants answered, in JSON.
    platform TEXT NOT NULL,
    wanted TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX lti_picks_expire ON lti_picks (expires_at);
CREATE INDEX lti_picks_user ON lti_picks (user_id);
