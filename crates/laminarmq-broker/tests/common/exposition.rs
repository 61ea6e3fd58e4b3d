//! A strict reader of Prometheus' text format, version 0.0.4. It stands apart from what writes it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct Page {
    /// Type of each family.
    pub(crate) families: BTreeMap<String, String>,
    samples: BTreeMap<Series, f64>,
}

type Series = (String, BTreeMap<String, String>);

impl Page {
    /// # Panics
    /// When the page breaks a rule of the format; the message says which.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Self {
            families: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let mut helped = BTreeSet::new();
        let mut family: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(helped.insert(name.to_owned()), "twice: {line}");
                family = None;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert!(helped.contains(name), "without help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let before = page.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "twice: {line}");
                family = Some(name.to_owned());
            } else {
                let family = family.as_deref().expect("a type before its samples");
                page.sample(family, line);
            }
        }
        page.check_histograms();
        page
    }

    fn sample(&mut self, family: &str, line: &str) {
        let (name, labels, value) = match line.split_once('{') {
            Some((name, rest)) => {
                let (labels, value) = labels(rest);
                (name, labels, value.strip_prefix(' ').expect(line))
            }
            None => {
                let (name, value) = line.split_once(' ').expect(line);
                (name, BTreeMap::new(), value)
            }
        };
        let kind = &self.families[family];
        let suffix = name.strip_prefix(family).expect(line);
        let allowed: &[&str] = match kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line} in {family}");
        let value: f64 = match value {
            "+Inf" => f64::INFINITY,
            number => number.parse().expect(line),
        };
        assert!(!value.is_nan(), "{line}");
        assert!(kind != "counter" || value >= 0.0, "{line}");
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert_eq!(before, None, "twice: {line}");
    }

    fn check_histograms(&self) {
        let histograms = self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let mut buckets = BTreeMap::<_, Vec<(f64, f64)>>::new();
            for ((name, labels), value) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").expect("a bound");
                    let bound = match bound.as_str() {
                        "+Inf" => f64::INFINITY,
                        number => number.parse().expect("a number"),
                    };
                    buckets.entry(labels).or_default().push((bound, *value));
                }
            }
            for (labels, mut buckets) in buckets {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(
                    buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                    "{family} {labels:?} {buckets:?}"
                );
                let last = *buckets.last().expect("one at least");
                let count = self.samples[&(format!("{family}_count"), labels.clone())];
                assert_eq!(last, (f64::INFINITY, count), "{family} {labels:?}");
                assert!(
                    self.samples
                        .contains_key(&(format!("{family}_sum"), labels)),
                    "{family}"
                );
            }
        }
    }

    /// The value of a series; `None` if it is not there.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The value of a series.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} {labels:?} in {:#?}", self.samples))
    }
}

/// Labels up to `}`, and what follows.
fn labels(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").expect(rest);
        assert!(is_name(name) && !name.contains(':'), "{rest}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a value has an end") {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().expect("an escape").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    other => panic!("\\{other} in {rest}"),
                }),
                (_, c) => value.push(c),
            }
        };
        let before = labels.insert(name.to_owned(), value);
        assert_eq!(before, None, "{name} twice");
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').expect(rest)),
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
    bytes.next().is_some_and(letter) && bytes.all(|b| letter(b) || b.is_ascii_digit())
}
