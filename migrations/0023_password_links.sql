-- Links that an administrator hands over, by which somebody gives herself a password, once.

CREATE TABLE password_links (
    user_name TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    made_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
