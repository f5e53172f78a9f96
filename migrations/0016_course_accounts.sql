-- Courses have servers of their own. Each is owned by an account that is nobody's: a row of `users` whose
-- name is `course:` and the id of the course. A program of before can't read such a name; there is none
-- before the first server of a course is started.

ALTER TABLE users ADD COLUMN course TEXT;
CREATE UNIQUE INDEX users_course ON users (course) WHERE course IS NOT NULL;
