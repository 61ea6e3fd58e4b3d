//! How much the library may add to the machine's own time.

/// What the library is held to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// The limit and so many nanoseconds, or so large a share of the limit, whichever is more.
    Adds {
        /// Nanoseconds per record.
        ns: f64,
        /// Of the limit.
        share: f64,
    },
    /// The limit divided by `speed`, and so many nanoseconds.
    Slower {
        /// Of the limit's speed.
        speed: f64,
        /// Nanoseconds per record.
        ns: f64,
    },
    /// Nothing: the pair is only shown.
    Shown,
}

impl Budget {
    /// The most nanoseconds per record beside a limit that took `limit`; `None` for any number.
    #[must_use]
    pub fn most(self, limit: f64) -> Option<f64> {
        match self {
            Self::Adds { ns, share } => Some(limit + ns.max(limit * share)),
            Self::Slower { speed, ns } => Some(limit / speed + ns),
            Self::Shown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_follow_the_limit() {
        let append = Budget::Adds {
            ns: 60.0,
            share: 0.1,
        };
        assert_eq!(append.most(300.0), Some(360.0));
        assert_eq!(append.most(1000.0), Some(1100.0));
        let batch = Budget::Slower {
            speed: 0.8,
            ns: 30.0,
        };
        assert_eq!(batch.most(80.0), Some(130.0));
        assert_eq!(Budget::Shown.most(1.0), None);
    }
}
