-- Who did what, and from where: every sign-in, and every act on people, groups, tokens, servers of others and
-- the site. Nothing here hangs on the rows it tells of, so that it outlasts them.

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    -- A person's name, or `service:` and a service's; none where no caller stands behind it.
    doer TEXT,
    address TEXT,
    -- A word of the enum `What` in crates/lyceum-hub/src/audit.rs.
    what TEXT NOT NULL,
    -- Whose account it is about, and what she was called then.
    about_id TEXT,
    about_name TEXT,
    -- JSON of texts.
    detail TEXT NOT NULL,
    -- How often, where one row stands for several.
    times BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_about ON audit (about_id, at);
