//! What is there, came in and went back in many courses, with one look-up for all of them.

use lyceum_store::{Tx, on};
use sqlx::AssertSqlSafe;

/// An assignment that can be had.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Released {
    pub course_id: String,
    pub course: String,
    pub id: String,
    pub name: String,
    pub created_at: i64,
}

/// Of the courses of these names.
pub async fn released(tx: &mut Tx, courses: &[&str]) -> sqlx::Result<Vec<Released>> {
    let sql = format!(
        "SELECT c.id AS course_id, c.name AS course, a.id, a.name, a.created_at FROM exchange_courses c \
         JOIN exchange_assignments a ON a.course_id = c.id \
         WHERE c.removed_at IS NULL AND a.withdrawn_at IS NULL AND c.name IN ({}) ORDER BY a.created_at, a.id",
        places(1, courses.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for course in courses {
            query = query.bind(*course);
        }
        query.fetch_all(c).await
    })
}

/// What one person handed in for an assignment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Own {
    pub assignment_id: String,
    pub times: i64,
    pub newest: i64,
    /// When she last got something back.
    pub returned_at: Option<i64>,
}

pub async fn own(tx: &mut Tx, student: &str, course_ids: &[&str]) -> sqlx::Result<Vec<Own>> {
    let sql = format!(
        "SELECT s.assignment_id, COUNT(*) AS times, MAX(s.at) AS newest, MAX(f.at) AS returned_at \
         FROM exchange_submissions s LEFT JOIN exchange_feedback f ON f.submission_id = s.id \
         WHERE s.student = $1 AND s.course_id IN ({}) GROUP BY s.assignment_id",
        places(2, course_ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(student);
        for id in course_ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// What everybody handed in for an assignment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Arrived {
    pub assignment_id: String,
    /// How many people.
    pub given: i64,
    /// How many of them got something back for the newest.
    pub returned: i64,
    /// How many handed the newest in late.
    pub late: i64,
    pub newest: i64,
}

/// People of courses, by the courses' ids: those who teach try things out.
pub type Staff<'a> = [(&'a str, Vec<&'a str>)];

/// Of these assignments, without what those who teach handed in.
pub async fn arrived(
    tx: &mut Tx,
    assignment_ids: &[&str],
    staff: &Staff<'_>,
) -> sqlx::Result<Vec<Arrived>> {
    let mut next = assignment_ids.len() + 1;
    let mut but = String::new();
    for (_, names) in staff.iter().filter(|(_, names)| !names.is_empty()) {
        let course = places(next, 1);
        let names_at = places(next + 1, names.len());
        but += &format!(" AND NOT (s.course_id = {course} AND s.student IN ({names_at}))");
        next += 1 + names.len();
    }
    let asked = places(1, assignment_ids.len());
    // Whether there is a newer one is looked up in the index that keeps them apart.
    let sql = format!(
        "SELECT s.assignment_id, COUNT(*) AS given, COUNT(f.submission_id) AS returned, \
         COUNT(CASE WHEN s.late > 0 THEN 1 END) AS late, MAX(s.at) AS newest \
         FROM exchange_submissions s LEFT JOIN exchange_feedback f ON f.submission_id = s.id \
         WHERE s.assignment_id IN ({asked}) AND NOT EXISTS (SELECT 1 FROM exchange_submissions n \
         WHERE n.assignment_id = s.assignment_id AND n.student = s.student AND n.at > s.at){but} \
         GROUP BY s.assignment_id"
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in assignment_ids {
            query = query.bind(*id);
        }
        for (course_id, names) in staff.iter().filter(|(_, names)| !names.is_empty()) {
            query = query.bind(*course_id);
            for name in names {
                query = query.bind(*name);
            }
        }
        query.fetch_all(c).await
    })
}

/// Who was added to these courses by request, as course, name and role; nothing where it is more than
/// so many.
pub async fn added(
    tx: &mut Tx,
    course_ids: &[&str],
    most: i64,
) -> sqlx::Result<Option<Vec<(String, String, String)>>> {
    let sql = format!(
        "SELECT course_id, name, role FROM exchange_people WHERE role IS NOT NULL AND course_id IN ({}) LIMIT $1",
        places(2, course_ids.len())
    );
    let rows: Vec<(String, String, String)> = on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(most.saturating_add(1));
        for id in course_ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })?;
    let fits = i64::try_from(rows.len()).is_ok_and(|count| count <= most);
    Ok(fits.then_some(rows))
}

/// `$3, $4` for two from the third on; what nothing is in for none.
fn places(from: usize, count: usize) -> String {
    if count == 0 {
        return "NULL".into();
    }
    let places: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    places.join(", ")
}
