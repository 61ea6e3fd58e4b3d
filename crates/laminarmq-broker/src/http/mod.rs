//! The HTTP port: metrics, and whether the broker lives and serves.
//!
//! | path | answer |
//! |---|---|
//! | `/` | what there is |
//! | `/livez` | 200 while the process works, 503 and the reason once it failed |
//! | `/readyz` | 200 while clients are served; 503 and the reason while the broker starts, stops, or failed |
//! | `/metrics` | Prometheus' text format |
//!
//! - It is up before the recovery begins and until everything is on disk, so that it can say "not yet" and
//!   "not any more".
//! - It needs nothing that a client of the broker waits for: no mailbox, no place among the connections.
//! - Connections, heads, pages at work and the life of a connection have bounds, see [`crate::limits`]. What
//!   does not fit waits in the system's backlog.

mod health;
mod page;
mod routes;
mod server;

pub(crate) use health::{Health, Phase};
pub(crate) use routes::Site;
pub(crate) use server::HttpServer;
