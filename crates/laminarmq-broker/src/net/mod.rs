//! Sockets: accepting connections, taking frames off them, writing answers in the order of the requests.

mod connection;
pub(crate) mod frame;
mod listener;
pub(crate) mod pieces;
mod writer;

pub(crate) use listener::{Listener, bind};
