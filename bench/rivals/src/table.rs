//! The table: medians of ratios from pairs.

use std::fmt;

use crate::measure::{Run, Times};

#[derive(Debug)]
struct Pair {
    theirs: Times,
    ours: Times,
    floor: Option<f64>,
}

#[derive(Debug)]
struct Row {
    place: &'static str,
    value_bytes: usize,
    records: usize,
    pairs: Vec<Pair>,
}

#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Table {
    pub fn add(
        &mut self,
        place: &'static str,
        run: &Run<'_>,
        theirs: Times,
        ours: Times,
        floor: Option<f64>,
    ) {
        assert_eq!(ours.read_count, run.records, "every record comes back");
        let value_bytes = run.value.len();
        let pair = Pair {
            theirs,
            ours,
            floor,
        };
        let same = |row: &&mut Row| (row.place, row.value_bytes) == (place, value_bytes);
        match self.0.iter_mut().find(same) {
            Some(row) => row.pairs.push(pair),
            None => self.0.push(Row {
                place,
                value_bytes,
                records: run.records,
                pairs: vec![pair],
            }),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| where | value, bytes | records | append, 0.0.5, ns | append, ns | times | checksum + copy, ns | to that | read, 0.0.5, ns | read, ns | times | 0.0.5 returned |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        let mut rows: Vec<&Row> = self.0.iter().collect();
        rows.sort_by_key(|row| row.place);
        for row in rows {
            let of = |value: &dyn Fn(&Pair) -> f64| median(row.pairs.iter().map(value));
            let floors: Vec<(f64, f64)> = row
                .pairs
                .iter()
                .filter_map(|pair| Some((pair.floor?, pair.ours.append / pair.floor?)))
                .collect();
            let (floor, to_floor) = if floors.is_empty() {
                ("-".to_owned(), "-".to_owned())
            } else {
                let floor = median(floors.iter().map(|(floor, _)| *floor));
                let ratio = median(floors.iter().map(|(_, ratio)| *ratio));
                (format!("{floor:.0}"), format!("{ratio:.2}"))
            };
            let returned = row
                .pairs
                .iter()
                .map(|pair| pair.theirs.read_count)
                .min()
                .unwrap_or(0);
            writeln!(
                f,
                "| {} | {} | {} | {:.0} | {:.0} | {:.1} | {floor} | {to_floor} | {:.0} | {:.0} | {:.1} | {returned} |",
                row.place,
                row.value_bytes,
                row.records,
                of(&|pair| pair.theirs.append),
                of(&|pair| pair.ours.append),
                of(&|pair| pair.theirs.append / pair.ours.append),
                of(&|pair| pair.theirs.read),
                of(&|pair| pair.ours.read),
                of(&|pair| pair.theirs.read / pair.ours.read),
            )?;
        }
        Ok(())
    }
}
