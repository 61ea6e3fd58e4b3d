//! One segment.
