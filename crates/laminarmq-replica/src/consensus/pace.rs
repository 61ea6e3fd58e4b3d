//! Who keeps up, and how fast those catch up that do not.

use raft::ProgressState;

/// A peer that kept up is behind when it lacks more entries, ...
const FALLS_BEHIND_ENTRIES: u64 = 1024;
/// ... or about so many bytes: more than is on its way at a time to one that keeps up.
const FALLS_BEHIND_BYTES: u64 = 64 << 20;

/// How a peer gets on, as of the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It keeps up.
    Abreast,
    /// It catches up.
    Behind(Behind),
}

/// A peer that catches up, with so many bytes on its way at a time.
///
/// From tick to tick that is doubled while it gets nearer by less than what is new, and halved while it gets
/// nearer by more than three times as much: so it is no faster than it has to be to get there, and gets there
/// whatever the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) window: u64,
    matched: u64,
    last: u64,
}

/// Bytes on the way to a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// While it catches up, at least.
    pub(super) catch_up: u64,
    /// At most.
    pub(super) max: u64,
}

/// How far a peer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) state: ProgressState,
    pub(super) matched: u64,
    /// The leader's last entry.
    pub(super) last: u64,
    /// Mean bytes of what was sent to it last; `None` before anything was.
    pub(super) mean: Option<u64>,
    /// What it lacks was all written a moment ago: it had everything when the leadership began, which was then.
    pub(super) lacks_new_only: bool,
}

impl Pace {
    /// One tick later. `None` for a peer of which nothing is known: nothing has come through to it lately.
    pub(super) fn after(before: Option<Self>, seen: Seen, bounds: Bounds) -> Option<Self> {
        let Seen {
            state,
            matched,
            last,
            mean,
            lacks_new_only,
        } = seen;
        if state != ProgressState::Replicate {
            return None;
        }
        let lacks = last - matched;
        let bytes = mean.map_or(u64::MAX, |mean| mean.saturating_mul(lacks));
        let behind = |window| {
            let behind = Behind {
                window,
                matched,
                last,
            };
            Some(Self::Behind(behind))
        };
        let is_near = |window: u64| lacks == 0 || bytes <= window.saturating_mul(2);
        match before {
            Some(Self::Abreast) if lacks > FALLS_BEHIND_ENTRIES || bytes > FALLS_BEHIND_BYTES => {
                // What it has to take is new, and no reason to slow it down.
                behind(bounds.max)
            }
            Some(Self::Behind(mut it)) if !is_near(it.window) => {
                it.tick(matched, last, bounds);
                Some(Self::Behind(it))
            }
            None if !is_near(bounds.catch_up) && !lacks_new_only => behind(bounds.catch_up),
            _ => Some(Self::Abreast),
        }
    }
}

impl Behind {
    fn tick(&mut self, matched: u64, last: u64, bounds: Bounds) {
        let gained = matched.saturating_sub(self.matched);
        let new = last.saturating_sub(self.last);
        if gained < 2 * new {
            self.window = self.window.saturating_mul(2).min(bounds.max);
        } else if gained > 4 * new {
            self.window = (self.window / 2).max(bounds.catch_up);
        }
        (self.matched, self.last) = (matched, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        catch_up: 100,
        max: 1_000,
    };

    fn seen(matched: u64, last: u64) -> Seen {
        Seen {
            state: ProgressState::Replicate,
            matched,
            last,
            mean: Some(10),
            lacks_new_only: false,
        }
    }

    fn window(pace: Option<Pace>) -> Option<u64> {
        match pace {
            Some(Pace::Behind(behind)) => Some(behind.window),
            _ => None,
        }
    }

    #[test]
    fn who_catches_up_is_as_fast_as_the_load_asks_for() {
        let (mut matched, mut last) = (0, 100_000);
        let mut pace = Pace::after(None, seen(matched, last), BOUNDS);
        assert_eq!(window(pace), Some(100), "as gentle as can be");
        let mut tick = |gained, new| {
            (matched, last) = (matched + gained, last + new);
            pace = Pace::after(pace, seen(matched, last), BOUNDS);
            window(pace).expect("behind")
        };
        assert_eq!(tick(10, 0), 100);
        // It gets nearer by less than what is new.
        assert_eq!(
            [200, 400, 800, 1_000, 1_000].map(|_| tick(19, 10)),
            [200, 400, 800, 1_000, 1_000]
        );
        // By as much, and by three times as much: it stays.
        assert_eq!([tick(20, 10), tick(40, 10)], [1_000, 1_000]);
        assert_eq!([(); 5].map(|()| tick(41, 10)), [500, 250, 125, 100, 100]);
        // It does not get on at all, with nothing new: that says nothing.
        assert_eq!(tick(0, 0), 100);
    }

    #[test]
    fn who_keeps_up_falls_behind_late_and_who_caught_up_keeps_up() {
        let abreast = Some(Pace::Abreast);
        let after = |before, matched, last| Pace::after(before, seen(matched, last), BOUNDS);
        assert_eq!(after(None, 80, 100), abreast);
        assert_eq!(window(after(None, 79, 100)), Some(100));
        assert_eq!(after(abreast, 0, FALLS_BEHIND_ENTRIES), abreast);
        let behind = after(abreast, 0, FALLS_BEHIND_ENTRIES + 1);
        assert_eq!(window(behind), Some(1_000), "what it lacks is new");
        assert_eq!(after(behind, 825, 1_025), abreast);
        assert_eq!(window(after(behind, 824, 1_025)), Some(500));
        let large = Seen {
            mean: Some(FALLS_BEHIND_BYTES / 10),
            ..seen(0, 11)
        };
        assert_eq!(window(Pace::after(abreast, large, BOUNDS)), Some(1_000));
        // It had everything a moment ago, or has what fell behind since.
        let new_only = |before| {
            let seen = Seen {
                lacks_new_only: true,
                ..seen(0, 2_000)
            };
            Pace::after(before, seen, BOUNDS)
        };
        assert_eq!(new_only(None), abreast);
        assert_eq!(window(new_only(abreast)), Some(1_000));
        // Nothing was sent: nobody knows how much it lacks.
        let unknown = Seen {
            mean: None,
            ..seen(99, 100)
        };
        assert_eq!(window(Pace::after(None, unknown, BOUNDS)), Some(100));
        let away = Seen {
            state: ProgressState::Probe,
            ..seen(0, 100)
        };
        assert_eq!(Pace::after(behind, away, BOUNDS), None);
    }
}
