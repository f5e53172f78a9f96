-- Which lists of files are still referred to is asked whenever what nobody refers to is collected.
CREATE INDEX exchange_versions_tree ON exchange_versions (tree);
CREATE INDEX exchange_submissions_tree ON exchange_submissions (tree);
CREATE INDEX exchange_feedback_tree ON exchange_feedback (tree);
-- Since when a course's file says that it can only be read, as far as that was looked at.
ALTER TABLE exchange_courses ADD COLUMN archived_at BIGINT;
-- How many bytes were handed in in a course, all submissions together.
ALTER TABLE exchange_courses ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
UPDATE exchange_courses SET bytes = (
    SELECT COALESCE(CAST(SUM(t.bytes) AS BIGINT), 0) FROM exchange_submissions s JOIN exchange_trees t ON t.tree = s.tree
    WHERE s.course_id = exchange_courses.id
);
