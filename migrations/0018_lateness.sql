-- When the last of what was handed in was there, in milliseconds since 1970; nothing: it is older than
-- this.
ALTER TABLE exchange_submissions ADD COLUMN arrived BIGINT;
-- When what was handed in was due for whoever handed it in, in milliseconds since 1970, and how many
-- seconds late it was; nothing: it was not due at any time, or is older than this.
ALTER TABLE exchange_submissions ADD COLUMN due BIGINT;
ALTER TABLE exchange_submissions ADD COLUMN late BIGINT;
CREATE INDEX exchange_submissions_student ON exchange_submissions (course_id, student, number);
