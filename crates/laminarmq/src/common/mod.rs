//! Small parts that the generic face of the log, [`storage`](crate::storage), is put together from.

pub mod cache;
pub mod serde_compat;
pub mod split;
pub mod stream;
