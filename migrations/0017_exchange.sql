-- The exchange: what teachers hand out, what students hand in, and what they get back.
CREATE TABLE exchange_courses (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- When it was made by a request; nothing: a course file says that it is there.
    made_at BIGINT,
    -- Its name is free again; what was handed in stays.
    removed_at BIGINT,
    -- Of its receipts: how many there are, and the digest of the newest.
    receipts BIGINT NOT NULL DEFAULT 0,
    newest_receipt TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX exchange_courses_name ON exchange_courses (name) WHERE removed_at IS NULL;
-- People beside those of the course file, and what people are called in a course.
CREATE TABLE exchange_people (
    course_id TEXT NOT NULL REFERENCES exchange_courses (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- `instructor` or `student`; nothing: only what she is called stands here.
    role TEXT,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    PRIMARY KEY (course_id, name)
);
CREATE INDEX exchange_people_name ON exchange_people (name);
-- What is known of a blob's content. Whoever removes blobs asks first who names them.
CREATE TABLE exchange_blobs (
    blob TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    md5 TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
-- Files under their paths, named by the digest of their list: never changed.
CREATE TABLE exchange_trees (
    tree TEXT PRIMARY KEY,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE exchange_tree_files (
    tree TEXT NOT NULL REFERENCES exchange_trees (tree),
    path TEXT NOT NULL,
    blob TEXT NOT NULL REFERENCES exchange_blobs (blob),
    PRIMARY KEY (tree, path)
);
CREATE INDEX exchange_tree_files_blob ON exchange_tree_files (blob);
CREATE TABLE exchange_assignments (
    id TEXT PRIMARY KEY,
    course_id TEXT NOT NULL REFERENCES exchange_courses (id),
    name TEXT NOT NULL,
    -- The newest.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Not to be had at the moment; what was handed in stays.
    withdrawn_at BIGINT,
    UNIQUE (course_id, name)
);
CREATE TABLE exchange_versions (
    assignment_id TEXT NOT NULL REFERENCES exchange_assignments (id),
    version BIGINT NOT NULL,
    tree TEXT NOT NULL REFERENCES exchange_trees (tree),
    released_at BIGINT NOT NULL,
    released_by TEXT NOT NULL,
    PRIMARY KEY (assignment_id, version)
);
-- Never changed and never removed.
CREATE TABLE exchange_submissions (
    id TEXT PRIMARY KEY,
    assignment_id TEXT NOT NULL REFERENCES exchange_assignments (id),
    -- Of the assignment, at that time.
    version BIGINT NOT NULL,
    student TEXT NOT NULL,
    -- Microseconds since 1970: by it a student's submissions are told apart.
    at BIGINT NOT NULL,
    tree TEXT NOT NULL REFERENCES exchange_trees (tree),
    -- Which of the course's receipts this is; the text that was signed, its digest, the signature.
    course_id TEXT NOT NULL REFERENCES exchange_courses (id),
    number BIGINT NOT NULL,
    receipt TEXT NOT NULL,
    receipt_digest TEXT NOT NULL,
    signature TEXT NOT NULL,
    UNIQUE (assignment_id, student, at),
    UNIQUE (course_id, number)
);
CREATE TABLE exchange_feedback (
    submission_id TEXT PRIMARY KEY REFERENCES exchange_submissions (id),
    tree TEXT NOT NULL REFERENCES exchange_trees (tree),
    at BIGINT NOT NULL,
    given_by TEXT NOT NULL
);
