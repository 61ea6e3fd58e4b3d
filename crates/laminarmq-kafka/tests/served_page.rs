//! The page for people says what the table in the code says.

use laminarmq_kafka::api::served;

#[test]
fn the_page_lists_what_is_served() {
    let page = include_str!("../../../docs/clients.md");
    let listed: Vec<_> = page
        .lines()
        .filter(|line| {
            line.strip_prefix("| ")
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
        .collect();
    let row = |range: &laminarmq_kafka::api::ApiRange| {
        let (number, api) = (range.api.number(), range.api);
        let (listed, served, max) = (range.min_advertised, range.min_served, range.max);
        format!("| {number} | {api:?} | {listed} | {served} | {max} |")
    };
    let want: Vec<_> = served().iter().map(row).collect();
    assert_eq!(listed, want);
}
