-- Fills a new SQLite database with the people of a large university.
-- Names, ids and hashes are made up; nobody can log in with them.
BEGIN;

CREATE TEMP TABLE numbers AS
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
SELECT i, printf('%05d', i) AS text FROM n;

INSERT INTO users (id, name, display_name, admin, home, created_at, last_activity_at)
SELECT 'bench-user-' || text, 'student' || text, 'Student ' || text, FALSE, 'student' || text, 1760000000000 + i, 1761000000000 + i
FROM numbers;

INSERT INTO local_accounts (user_name, password_hash, changed_at)
SELECT 'student' || text, '$argon2id$v=19$m=19456,t=2,p=1$YmVuY2htYXJrc2FsdA$YmVuY2htYXJrIGhhc2ggdGhhdCBuZXZlciBmaXRz', 1760000000000
FROM numbers;

INSERT INTO groups (id, name, created_at)
SELECT 'bench-group-' || text, 'course' || text, 1760000000000
FROM numbers WHERE i <= 20;

INSERT INTO group_members (group_id, user_id)
SELECT 'bench-group-' || printf('%05d', i / 10 % 20 + 1), 'bench-user-' || text
FROM numbers WHERE i % 10 = 0;

INSERT INTO sessions (id, cookie_hash, access_hash, user_id, created_at, seen_at, expires_at)
SELECT 'bench-session-' || text, 'bench-cookie-' || text, 'bench-access-' || text, 'bench-user-' || text, 1761000000000, 1761000000000, 4102444800000
FROM numbers WHERE i % 10 = 1;

INSERT INTO tokens (id, hash, user_id, note, scopes, created_at, expires_at)
SELECT 'bench-token-' || text, 'bench-hash-' || text, 'bench-user-' || text, 'bench', '["inherit"]', 1760000000000, 4102444800000
FROM numbers WHERE i % 10 = 2;

COMMIT;
