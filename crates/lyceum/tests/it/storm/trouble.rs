//! What happens to the machinery in the middle of a round of the storm.

use super::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    KillHub(usize),
    KillBothHubs,
    HandOver(usize),
    KillProxy(usize),
    ReplaceProxy(usize),
    RestartDatabase(u64),
    KillServer(usize),
    KillKeeper(usize),
    KillService,
}

impl Trouble {
    fn any(dice: &mut Dice) -> Self {
        match dice.roll(17) {
            0..=2 => Self::None,
            3 | 4 => Self::KillHub(dice.roll(2)),
            5 => Self::KillBothHubs,
            6 | 7 => Self::HandOver(dice.roll(2)),
            8 => Self::KillProxy(dice.roll(2)),
            9 => Self::ReplaceProxy(dice.roll(2)),
            10 | 11 => Self::RestartDatabase(0),
            12 => Self::RestartDatabase(dice.roll(4000) as u64),
            13 | 14 => Self::KillServer(dice.roll(100)),
            15 => Self::KillKeeper(dice.roll(100)),
            _ => Self::KillService,
        }
    }

    /// It needs a server that runs.
    pub(super) fn is_of_server(self) -> bool {
        matches!(self, Self::KillServer(_) | Self::KillKeeper(_))
    }
}

/// Which trouble comes when: each kind once, so that few rounds know them all, and from then on as the
/// dice fall.
pub(super) struct Deal {
    due: Vec<Trouble>,
}

impl Deal {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut due = vec![
            Trouble::None,
            Trouble::KillHub(dice.roll(2)),
            Trouble::KillBothHubs,
            Trouble::HandOver(dice.roll(2)),
            Trouble::KillProxy(dice.roll(2)),
            Trouble::ReplaceProxy(dice.roll(2)),
            Trouble::RestartDatabase(0),
            Trouble::RestartDatabase(1000 + dice.roll(3000) as u64),
            Trouble::KillServer(dice.roll(100)),
            Trouble::KillKeeper(dice.roll(100)),
            Trouble::KillService,
        ];
        for last in (1..due.len()).rev() {
            due.swap(last, dice.roll(last + 1));
        }
        Self { due }
    }

    /// `servers`: whether any runs.
    pub(super) fn next(&mut self, dice: &mut Dice, servers: bool) -> Trouble {
        let mut due = self.due.iter();
        match due.position(|trouble| servers || !trouble.is_of_server()) {
            Some(at) => self.due.remove(at),
            None => Trouble::any(dice),
        }
    }

    /// Nothing could come of it.
    pub(super) fn put_back(&mut self, trouble: Trouble) {
        self.due.push(trouble);
    }
}
