//! How much is kept of what people hand in: of all of a course, and of one person in it. Each submission
//! counts whole, however much of it others handed in too. What is handed out and given back counts for
//! nothing, since it is the teachers'.

use lyceum_courses::Bytes;
use lyceum_store::{Db, Tx};

use crate::rules::NotTaken;
use crate::{Exchange, db};

/// Nothing: there is no end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    pub course: Option<Bytes>,
    /// Of one person in one course.
    pub person: Option<Bytes>,
}

/// Whether `more` bytes of somebody fit, of which there are at least some: behind what she and the
/// course have.
pub async fn check(
    exchange: &Exchange,
    tx: &mut Tx,
    (course_id, of_course): (&str, u64),
    person: &str,
    more: u64,
) -> Result<(), NotTaken> {
    let Quota {
        course: most_of_course,
        person: most_of_person,
    } = exchange.quota();
    if let Some(most) = most_of_person {
        let kept = db::submissions::bytes_of(tx, course_id, person).await?;
        let kept = u64::try_from(kept).unwrap_or_default();
        if !fits(kept, more, most) {
            return Err(NotTaken::PersonFull(Full::of(kept, most)));
        }
    }
    match most_of_course {
        Some(most) if !fits(of_course, more, most) => {
            Err(NotTaken::CourseFull(Full::of(of_course, most)))
        }
        _ => Ok(()),
    }
}

/// Counts anew what each course keeps: during an update a program from before it was counted may have taken
/// something.
pub async fn recount(db: &Db) -> sqlx::Result<()> {
    let there = db::removal::there(&mut db.glance().await?).await?;
    for course in there {
        let mut tx = db.write().await?;
        db::courses::count_bytes(&mut tx, &course.id).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn fits(kept: u64, more: u64, most: Bytes) -> bool {
    kept.saturating_add(more.max(1)) <= most.0
}

/// Why nothing more is taken, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    pub kept: String,
    pub most: String,
    pub left: String,
}

impl Full {
    fn of(kept: u64, most: Bytes) -> Self {
        Self {
            kept: shown(kept),
            most: shown(most.0),
            left: shown(most.0.saturating_sub(kept)),
        }
    }
}

/// `1.9 GB`, never more than it is.
pub fn shown(bytes: u64) -> String {
    let units = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    match units.into_iter().find(|(_, factor)| bytes >= *factor) {
        None => format!("{bytes} bytes"),
        Some((unit, factor)) => match bytes % factor * 10 / factor {
            0 => format!("{} {unit}", bytes / factor),
            tenths => format!("{}.{tenths} {unit}", bytes / factor),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let check = |kept: u64, more: u64, expect: bool| {
            assert_eq!(fits(kept, more, Bytes(100)), expect, "{kept} {more}");
        };
        check(0, 100, true);
        check(1, 99, true);
        check(1, 100, false);
        check(99, 0, true);
        // A file without a content is something, too.
        check(100, 0, false);
        check(u64::MAX, u64::MAX, false);
    }

    #[test]
    fn amounts_for_people() {
        let check = |bytes: u64, expect: &str| assert_eq!(shown(bytes), expect);
        check(0, "0 bytes");
        check(999, "999 bytes");
        check(1_000, "1 kB");
        check(1_999, "1.9 kB");
        check(2_000_000_000, "2 GB");
        check(1_234_567_890_123, "1.2 TB");
    }
}
