//! Everything in memory. It lasts as long as one provider, one of its clones, or one storage from them is there.

mod blocks;
pub mod segment;
pub mod storage;

#[cfg(test)]
mod tests;
