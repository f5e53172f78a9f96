//! How many servers may run, and start, at a time: in all, and of those that a quota speaks of.
//!
//! What finds no room waits in the line ([`crate::queue`]); those of whom the full quota does not
//! speak go on. The counts are made of rows, under one lock for all replicas, so that the last
//! place is given once ([`crate::db::quotas`]).

use crate::select::Selector;

/// A limit for servers that are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    pub whom: Selector,
    /// So many may run, or be on their way up or down.
    pub running: Option<u64>,
    /// So many may be on their way up.
    pub starting: Option<u64>,
}

/// How many there are of those that a quota speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub running: i64,
    pub starting: i64,
}

impl Quota {
    /// Whether there is no room for one more.
    pub fn is_full(&self, count: Count) -> bool {
        self.room(count) == 0
    }

    /// For how many more there is room.
    pub fn room(&self, count: Count) -> u64 {
        let left = |limit: Option<u64>, many: i64| {
            let many = u64::try_from(many).unwrap_or(0);
            limit.map_or(u64::MAX, |limit| limit.saturating_sub(many))
        };
        left(self.running, count.running).min(left(self.starting, count.starting))
    }
}

impl Count {
    /// Without one server.
    #[must_use]
    pub fn without(self, starts: bool) -> Self {
        Self {
            running: self.running - 1,
            starting: self.starting - i64::from(starts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_full_when_either_limit_is_reached() {
        let check = |running: Option<u64>, starting: Option<u64>, count: (i64, i64), full: bool| {
            let quota = Quota {
                running,
                starting,
                ..Quota::default()
            };
            let (many, under_way) = count;
            let count = Count {
                running: many,
                starting: under_way,
            };
            assert_eq!(quota.is_full(count), full, "{quota:?} {count:?}");
        };
        check(None, None, (900, 900), false);
        check(Some(3), None, (2, 2), false);
        check(Some(3), None, (3, 0), true);
        check(Some(3), Some(1), (2, 1), true);
        check(None, Some(0), (0, 0), true);
    }

    #[test]
    fn there_is_as_much_room_as_the_tighter_limit_leaves() {
        let check = |running: Option<u64>, starting: Option<u64>, expect: u64| {
            let quota = Quota {
                running,
                starting,
                ..Quota::default()
            };
            let count = Count {
                running: 3,
                starting: 1,
            };
            assert_eq!(quota.room(count), expect, "{quota:?}");
        };
        check(None, None, u64::MAX);
        check(Some(5), None, 2);
        check(Some(5), Some(2), 1);
        // A limit that was lowered.
        check(Some(1), None, 0);
    }
}
