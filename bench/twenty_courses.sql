-- Fills the exchange of a database that has `fifty_thousand_users.sql` already: twenty courses with
-- twenty assignments each, and in the first what 1,800 people handed in for all of them, of which three
-- quarters came back. Nobody can read it: there are no files.
BEGIN;

CREATE TEMP TABLE numbers AS
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1800)
SELECT i, printf('%05d', i) AS text FROM n;

INSERT INTO exchange_trees (tree, files, bytes, created_at) VALUES ('bench-tree', 0, 0, 1760000000000);

INSERT INTO exchange_courses (id, name)
SELECT 'bench-course-' || text, 'course' || text FROM numbers WHERE i <= 20;

INSERT INTO exchange_assignments (id, course_id, name, version, created_at)
SELECT 'bench-assignment-' || c.text || '-' || a.text, 'bench-course-' || c.text, 'ps' || a.i, 1, 1760000000000
FROM numbers c, numbers a WHERE c.i <= 20 AND a.i <= 20;

-- Ids are spread, as those of submissions that came in any order of names.
INSERT INTO exchange_submissions (id, assignment_id, version, student, at, tree, course_id, number, receipt, receipt_digest, signature)
SELECT 'bench-submission-' || printf('%07d', (a.i * 1800 + s.i) * 7919 % 1000003), 'bench-assignment-00001-' || a.text, 1,
    'student' || s.text, 1760000000000000 + (a.i * 1800 + s.i) * 1000, 'bench-tree', 'bench-course-00001', a.i * 1800 + s.i,
    hex(zeroblob(250)), hex(zeroblob(32)), hex(zeroblob(44))
FROM numbers a, numbers s WHERE a.i <= 20;

INSERT INTO exchange_feedback (submission_id, tree, at, given_by)
SELECT id, 'bench-tree', 1760100000000, 'teacher' FROM exchange_submissions
WHERE assignment_id <= 'bench-assignment-00001-00015';

COMMIT;
