//! Room for courses to which many come at once: whose places are kept, how many, and what that
//! leaves to others. The rules alone, computed from the meetings and the moment.
//!
//! From some time before a meeting until some time after its beginning, so many places of
//! `servers.running` are for servers of its course; what it has running counts among them. Others
//! start as long as there is room besides, and then wait in the line ([`crate::queue`]), at a gate
//! like that of a quota ([`crate::trouble`]). What else is done before: [`crate::jobs::rooms`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use lyceum_model::clock::Millis;
use lyceum_store::Tx;
use tokio::time::Instant;

use crate::quota::Quota;
use crate::select::Selector;
use crate::trouble::Gate;
use crate::{Hub, db};

/// The meetings are looked up at most once in this time, however many starts there are.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// A meeting to which many come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Id and title of the course.
    pub course: String,
    pub title: String,
    pub people: u64,
    /// From when on places are kept.
    pub opens: Millis,
    /// When the people come.
    pub begins: Millis,
    /// Until when places are kept.
    pub ends: Millis,
    /// Whether servers are started for the course, so that its places can be taken. Otherwise everybody
    /// finds as much room as without it.
    pub keeps: bool,
}

impl Room {
    pub fn is_open(&self, now: Millis) -> bool {
        self.opens <= now && now < self.ends
    }
}

/// The meetings as this replica saw them last.
#[derive(Default)]
pub struct Known(ArcSwapOption<(Instant, Millis, Arc<[Room]>)>);

impl Known {
    /// The one that begins first comes first.
    pub fn look(&self, hub: &Hub, now: Millis) -> Arc<[Room]> {
        if let Some(known) = self.0.load_full()
            && known.0.elapsed() < KNOWN_FOR
            && now.since(known.1).unsigned_abs() < KNOWN_FOR.as_secs() * 1000
        {
            return known.2.clone();
        }
        let mut rooms = hub.shelf().rooms(now);
        rooms.sort_by(|one, other| {
            (one.begins, &one.course, one.people).cmp(&(other.begins, &other.course, other.people))
        });
        let rooms: Arc<[Room]> = rooms.into();
        let known = (Instant::now(), now, rooms.clone());
        self.0.store(Some(Arc::new(known)));
        rooms
    }
}

/// Places that are kept for a course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub course: String,
    pub places: u64,
    /// How many it takes at the moment.
    pub taken: u64,
}

/// How the places of a hub are shared out while rooms are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// How many there are.
    pub limit: u64,
    /// How many are taken, by whomever.
    pub taken: u64,
    pub kept: Vec<Kept>,
}

/// For each course with an open room, how many places it gets. Where there are not enough for all,
/// whose meeting begins first has them.
pub fn granted(rooms: &[Room], limit: u64, now: Millis) -> BTreeMap<String, u64> {
    let mut left = limit;
    let mut granted = BTreeMap::new();
    for room in rooms.iter().filter(|room| room.keeps && room.is_open(now)) {
        let places = room.people.min(left);
        left -= places;
        *granted.entry(room.course.clone()).or_default() += places;
    }
    granted
}

impl Places {
    /// As many servers of this course may run; `None`: of no course with a room.
    fn limit_of(&self, course: Option<&str>) -> u64 {
        let others = self
            .kept
            .iter()
            .filter(|kept| Some(kept.course.as_str()) != course);
        let theirs: u64 = others.map(|kept| kept.places.max(kept.taken)).sum();
        let besides = match course {
            None => 0,
            Some(_) => {
                let of_rooms: u64 = self.kept.iter().map(|kept| kept.taken).sum();
                self.taken.saturating_sub(of_rooms)
            }
        };
        self.limit.saturating_sub(theirs).saturating_sub(besides)
    }

    /// How many servers would have to end for all that are expected to find room.
    pub fn lack(&self) -> u64 {
        let free = self.limit.saturating_sub(self.taken);
        let expected = self.kept.iter();
        let expected = expected.map(|kept| kept.places.saturating_sub(kept.taken));
        expected.sum::<u64>().saturating_sub(free)
    }

    pub fn is_for(&self, course: Option<&str>) -> bool {
        self.kept
            .iter()
            .any(|kept| Some(kept.course.as_str()) == course)
    }

    /// What those have to pass who start now.
    fn gates(&self) -> Vec<Gate> {
        let courses: Vec<String> = self.kept.iter().map(|kept| kept.course.clone()).collect();
        let gate = |whom: Selector, running: u64| Gate {
            quota: Quota {
                whom,
                running: Some(running),
                starting: None,
            },
            until: None,
            room: true,
        };
        let mut gates = vec![gate(
            Selector {
                beside_courses: Some(courses.clone()),
                ..Selector::default()
            },
            self.limit_of(None),
        )];
        // With a single one the limit for all says the same.
        if let [_, _, ..] = self.kept.as_slice() {
            gates.extend(courses.into_iter().map(|course| {
                let running = self.limit_of(Some(&course));
                let whom = Selector {
                    courses: Some(vec![course]),
                    ..Selector::default()
                };
                gate(whom, running)
            }));
        }
        gates
    }
}

/// How the places are shared out at the moment; none while no room is open, or without a limit.
pub async fn places(hub: &Hub, tx: &mut Tx, now: Millis) -> sqlx::Result<Option<Places>> {
    let Some(limit) = limit(hub) else {
        return Ok(None);
    };
    let granted = granted(&hub.rooms(now), limit, now);
    if granted.is_empty() {
        return Ok(None);
    }
    let count = async |tx: &mut Tx, whom: &Selector| -> sqlx::Result<u64> {
        let count = db::quotas::count(tx, whom, now.0).await?;
        Ok(u64::try_from(count.running).unwrap_or(0))
    };
    let mut kept = Vec::new();
    for (course, places) in granted {
        let whom = Selector {
            courses: Some(vec![course.clone()]),
            ..Selector::default()
        };
        kept.push(Kept {
            taken: count(tx, &whom).await?,
            course,
            places,
        });
    }
    Ok(Some(Places {
        limit,
        taken: count(tx, &Selector::default()).await?,
        kept,
    }))
}

/// What stands before starts because of rooms.
pub async fn gates(hub: &Hub, tx: &mut Tx, now: Millis) -> sqlx::Result<Vec<Gate>> {
    let places = places(hub, tx, now).await?;
    Ok(places.map_or_else(Vec::new, |places| places.gates()))
}

/// How many servers may run in all.
pub fn limit(hub: &Hub) -> Option<u64> {
    let settings = hub.settings();
    let all = settings.quotas.iter();
    let all = all.filter(|quota| quota.whom == Selector::default());
    all.filter_map(|quota| quota.running).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(course: &str, people: u64, opens: i64, ends: i64) -> Room {
        Room {
            course: course.into(),
            title: course.into(),
            people,
            opens: Millis(opens),
            begins: Millis(opens + 5),
            ends: Millis(ends),
            keeps: true,
        }
    }

    #[test]
    fn a_place_that_nobody_can_take_is_not_kept() {
        let mut room = room("bio", 300, 0, 100);
        room.keeps = false;
        assert!(granted(&[room], 1000, Millis(5)).is_empty());
    }

    #[test]
    fn who_begins_first_has_the_places() {
        let rooms = [
            room("bio", 300, 0, 100),
            room("chem", 50, 10, 100),
            room("bio", 30, 20, 100),
        ];
        let check = |now: i64, limit: u64, expect: &[(&str, u64)]| {
            let granted: Vec<(String, u64)> =
                granted(&rooms, limit, Millis(now)).into_iter().collect();
            let expect: Vec<(String, u64)> = expect
                .iter()
                .map(|(course, many)| ((*course).to_owned(), *many))
                .collect();
            assert_eq!(granted, expect, "{now} {limit}");
        };
        check(-1, 1000, &[]);
        check(0, 1000, &[("bio", 300)]);
        check(20, 1000, &[("bio", 330), ("chem", 50)]);
        check(20, 320, &[("bio", 300), ("chem", 20)]);
        check(20, 200, &[("bio", 200), ("chem", 0)]);
        check(99, 1000, &[("bio", 330), ("chem", 50)]);
        check(100, 1000, &[]);
    }

    /// Whoever starts next in every way there is: nobody gets a place that is kept for another, and
    /// each place is given in the end.
    #[test]
    fn places_are_kept_and_none_is_lost() {
        let check = |limit: u64, kept: &[(u64, u64)], besides: u64, expect: (u64, &[u64], u64)| {
            let kept: Vec<Kept> = (0..)
                .zip(kept)
                .map(|(at, (places, taken))| Kept {
                    course: format!("c{at}"),
                    places: *places,
                    taken: *taken,
                })
                .collect();
            let places = Places {
                limit,
                taken: besides + kept.iter().map(|kept| kept.taken).sum::<u64>(),
                kept,
            };
            let courses: Vec<u64> = (0..places.kept.len())
                .map(|at| places.limit_of(Some(&format!("c{at}"))))
                .collect();
            let found = (places.limit_of(None), courses.as_slice(), places.lack());
            assert_eq!(found, expect, "{places:?}");
        };
        // 100 places, 30 kept: 70 are for others, and the course may have what others leave.
        check(100, &[(30, 0)], 0, (70, &[100], 0));
        check(100, &[(30, 0)], 80, (70, &[20], 10));
        check(100, &[(30, 30)], 60, (70, &[40], 0));
        // More came than were expected.
        check(100, &[(30, 50)], 40, (50, &[60], 0));
        // Two at once keep each other's places.
        check(100, &[(30, 0), (20, 0)], 40, (50, &[40, 30], 0));
        check(100, &[(30, 40), (20, 5)], 40, (40, &[40, 20], 0));
        check(100, &[(80, 0), (20, 0)], 10, (0, &[70, 10], 10));
        check(10, &[(10, 0), (0, 0)], 0, (0, &[10, 0], 0));
    }

    #[test]
    fn one_room_needs_one_gate() {
        let places = |many: usize| Places {
            limit: 10,
            taken: 0,
            kept: (0..many)
                .map(|at| Kept {
                    course: at.to_string(),
                    places: 1,
                    taken: 0,
                })
                .collect(),
        };
        assert_eq!(places(1).gates().len(), 1);
        assert_eq!(places(2).gates().len(), 3);
    }
}
