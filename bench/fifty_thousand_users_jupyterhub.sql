-- The same people as in fifty_thousand_users.sql, in JupyterHub's tables, each with its role `user`.
BEGIN;

CREATE TEMP TABLE numbers AS
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
SELECT i, printf('%05d', i) AS text FROM n;

INSERT INTO users (name, admin, created, last_activity, cookie_id, state)
SELECT 'student' || text, 0, datetime(1760000000 + i, 'unixepoch'), datetime(1761000000 + i, 'unixepoch'), 'bench-cookie-' || text, '{}'
FROM numbers;

INSERT INTO user_role_map (user_id, role_id, managed_by_auth)
SELECT users.id, roles.id, 0 FROM users, roles
WHERE roles.name = 'user' AND users.name LIKE 'student%';

COMMIT;
