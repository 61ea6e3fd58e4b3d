//! `laminarmq topic delete`.

use serde_json::json;

use super::NamesArgs;
use crate::failure::Failure;
use crate::output::Out;

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic delete orders
  laminarmq topic delete orders logs";

pub(super) async fn run(args: &NamesArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for name in &args.names {
        if let Err(error) = client.delete_topic(name).await {
            out.flush()?;
            return Err(error.into());
        }
        if args.json.json {
            out.json(&json!({ "topic": name, "deleted": true }))?;
        } else {
            out.line(format_args!("deleted topic `{name}`"))?;
        }
    }
    out.flush()
}
