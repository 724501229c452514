//! The last purges with their commit positions: maps what a replica has replayed to what its answers know.

use std::collections::VecDeque;

use crate::position::Position;

/// The last purges applied, oldest first.
#[derive(Debug)]
pub(crate) struct Ring {
    purges: VecDeque<Applied>,
    /// The greatest commit position among purges that are not in the ring any more, or never were.
    beyond: Beyond,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    pub(crate) position: Position,
    pub(crate) commit_lsn: u64,
    pub(crate) commit_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Beyond {
    /// The log held purges this process never read.
    Unknown,
    UpTo(u64),
}

impl Ring {
    const CAPACITY: usize = 65_536;

    /// A ring that starts behind `position`: what the log held before it is known only if that is nothing.
    pub(crate) fn starting_at(position: Position) -> Self {
        let beyond = if position.sequence() == 0 { Beyond::UpTo(0) } else { Beyond::Unknown };
        Self { purges: VecDeque::new(), beyond }
    }

    pub(crate) fn push(&mut self, purge: Applied) {
        if self.purges.len() == Self::CAPACITY
            && let Some(dropped) = self.purges.pop_front()
            && let Beyond::UpTo(lsn) = &mut self.beyond
        {
            *lsn = dropped.commit_lsn.max(*lsn);
        }
        self.purges.push_back(purge);
    }

    pub(crate) fn newest(&self) -> Option<Applied> {
        self.purges.back().copied()
    }

    /// The largest position such that every purge up to it committed at or before `lsn`; `applied` when all
    /// did. `None` when the ring does not reach back far enough to know.
    pub(crate) fn position_as_of(&self, lsn: u64, applied: Position) -> Option<Position> {
        match self.beyond {
            Beyond::UpTo(oldest) if oldest <= lsn => {}
            Beyond::UpTo(_) | Beyond::Unknown => return None,
        }
        let unseen = self.purges.iter().find(|purge| purge.commit_lsn > lsn);
        Some(unseen.map_or(applied, |purge| {
            Position::new(purge.position.epoch(), purge.position.sequence().saturating_sub(1))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Applied, Ring};
    use crate::position::Position;

    fn ring(start: u64, commits: &[(u64, u64)]) -> Ring {
        let mut ring = Ring::starting_at(Position::new(1, start));
        for &(sequence, commit_lsn) in commits {
            ring.push(Applied { position: Position::new(1, sequence), commit_lsn, commit_ms: 0 });
        }
        ring
    }

    fn check(commits: &[(u64, u64)], lsn: u64, expected: u64) {
        let applied = Position::new(1, commits.last().map_or(0, |last| last.0));
        let known = ring(0, commits).position_as_of(lsn, applied);
        assert_eq!(known, Some(Position::new(1, expected)), "{commits:?} as of {lsn}");
    }

    #[test]
    fn a_replica_knows_every_purge_up_to_the_first_it_has_not_replayed() {
        check(&[(1, 100), (2, 110), (3, 120)], 200, 3);
        check(&[(1, 100), (2, 110), (3, 120)], 110, 2);
        check(&[(1, 100), (2, 110), (3, 120)], 99, 0);
        // Commits reach the log out of order: what follows an unseen one does not count.
        check(&[(1, 100), (2, 190), (3, 120)], 150, 1);
    }

    #[test]
    fn purges_it_never_read_make_it_silent() {
        assert_eq!(ring(4, &[(5, 100)]).position_as_of(1_000, Position::new(1, 5)), None);
    }

    #[test]
    fn purges_that_left_the_ring_are_remembered_by_their_greatest_commit() {
        let newest = Ring::CAPACITY as u64 + 1;
        let mut ring = ring(0, &[(1, 500)]);
        for sequence in 2..=newest {
            ring.push(Applied { position: Position::new(1, sequence), commit_lsn: 7, commit_ms: 0 });
        }
        assert_eq!(ring.position_as_of(499, Position::new(1, newest)), None);
        assert_eq!(ring.position_as_of(500, Position::new(1, newest)), Some(Position::new(1, newest)));
    }
}
