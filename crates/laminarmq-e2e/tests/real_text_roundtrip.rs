//! Real text goes in line by line, the broker is killed, and everything comes out again.
//!
//! The long form (`LAMINARMQ_LONG=1`) takes 100 MB and more.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use laminarmq_e2e::corpus::{Corpus, line_number};
use laminarmq_e2e::is_long;
use laminarmq_testkit::{BrokerProcess, Deadline, Stopwatch, TestDir, kcat, laminarmq, run};

const TOPIC: &str = "text";
const PARTITIONS: usize = 3;
const BYTES: usize = 8 << 20;
const BYTES_LONG: usize = 128 << 20;
/// For one pass of the text through one client.
const PASS_SECONDS: u64 = 600;

/// The numbers of the lines of each partition, in the order read.
type Order = BTreeMap<usize, Vec<usize>>;

#[test]
fn every_line_comes_back_once_and_in_order_after_a_kill() {
    let dir = TestDir::new("real-text");
    let corpus = Corpus::collect(if is_long() { BYTES_LONG } else { BYTES });
    let text = dir.join("text");
    corpus.write(&text).expect("the text is written");

    let mut broker = BrokerProcess::start(&dir.join("data"));
    let addr = broker.addr();
    create_topic(addr);
    let watch = Stopwatch::start();
    let mut produce = kcat(addr);
    produce.args(["-P", "-t", TOPIC]);
    // A partition for each line by itself; otherwise one that is chosen for a while may leave another empty.
    produce.args(["-X", "sticky.partitioning.linger.ms=0"]);
    produce.arg("-l").arg(&text);
    let _ = run(&mut produce, Deadline::seconds(PASS_SECONDS)).success();
    println!(
        "produced {} lines, {} bytes in {:?}",
        corpus.len(),
        corpus.bytes(),
        watch.elapsed()
    );

    broker.kill9();
    broker.restart();

    let watch = Stopwatch::start();
    let mut read = kcat(addr);
    read.args([
        "-C",
        "-t",
        TOPIC,
        "-o",
        "beginning",
        "-e",
        "-q",
        "-f",
        "%p %o %s\n",
    ]);
    let by_kcat = read_back(&mut read, &dir.join("by-kcat"), &corpus);
    println!("read back with kcat in {:?}", watch.elapsed());

    let watch = Stopwatch::start();
    let mut read = laminarmq();
    read.args([
        "consume",
        TOPIC,
        "-b",
        &addr.to_string(),
        "-o",
        "start",
        "-n",
        &corpus.len().to_string(),
    ]);
    read.args(["-f", "%p %o %s\n"]);
    let by_laminarmq = read_back(&mut read, &dir.join("by-laminarmq"), &corpus);
    println!("read back with laminarmq in {:?}", watch.elapsed());

    assert!(
        by_kcat == by_laminarmq,
        "kcat and laminarmq read different orders"
    );
    for (partition, lines) in &by_kcat {
        println!("partition {partition}: {} lines, in order", lines.len());
    }
    assert_eq!(by_kcat.len(), PARTITIONS, "every partition got lines");
}

fn create_topic(addr: SocketAddr) {
    let mut create = laminarmq();
    create.args([
        "topic",
        "create",
        TOPIC,
        "-b",
        &addr.to_string(),
        "-p",
        &PARTITIONS.to_string(),
    ]);
    let _ = run(&mut create, Deadline::seconds(60)).success();
}

/// Runs a command that prints `PARTITION OFFSET LINE` for each record, and checks what it printed.
fn read_back(command: &mut Command, output: &Path, corpus: &Corpus) -> Order {
    let shown = format!("{command:?}");
    let file = File::create(output).expect("the output file is made");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .spawn()
        .expect("the client starts");
    let ended =
        Deadline::seconds(PASS_SECONDS).wait_for(&shown, || child.try_wait().expect("waited for"));
    let status = ended.unwrap_or_else(|timed_out| {
        child.kill().expect("killed");
        child.wait().expect("a killed child ends");
        panic!("{timed_out}");
    });
    assert!(status.success(), "{shown}: {status}");
    let printed = std::fs::read(output).expect("the output is read");
    check(&printed, corpus).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

/// Checks that every line is there once and unchanged, and that offsets and line numbers rise together in
/// each partition, offsets without a gap.
fn check(printed: &[u8], corpus: &Corpus) -> Result<Order, String> {
    let mut seen = vec![false; corpus.len()];
    let mut order = Order::new();
    for record in printed.split_inclusive(|&byte| byte == b'\n') {
        let shown = || String::from_utf8_lossy(&record[..record.len().min(80)]).into_owned();
        let record = record
            .strip_suffix(b"\n")
            .ok_or_else(|| format!("no line feed behind {}", shown()))?;
        let mut parts = record.splitn(3, |&byte| byte == b' ');
        let mut next = || {
            parts
                .next()
                .ok_or_else(|| format!("not as formatted: {}", shown()))
        };
        let (partition, offset, line) = (decimal(next()?)?, decimal(next()?)?, next()?);

        let number = line_number(line).filter(|&number| number < corpus.len());
        let number = number.ok_or_else(|| format!("nobody sent this line: {}", shown()))?;
        if line != corpus.line(number) {
            return Err(format!("line {number} was changed: {}", shown()));
        }
        if std::mem::replace(&mut seen[number], true) {
            return Err(format!("line {number} came twice"));
        }
        let lines = order.entry(partition).or_default();
        if lines.len() != offset {
            return Err(format!(
                "partition {partition}: offset {offset} where {} was expected",
                lines.len()
            ));
        }
        if lines.last().is_some_and(|&last| last > number) {
            return Err(format!(
                "partition {partition}: line {number} came after {:?}",
                lines.last()
            ));
        }
        lines.push(number);
    }
    match seen.iter().position(|&seen| !seen) {
        Some(missing) => Err(format!("line {missing} is missing")),
        None => Ok(order),
    }
}

fn decimal(digits: &[u8]) -> Result<usize, String> {
    let text = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    text.ok_or_else(|| format!("not a number: {}", String::from_utf8_lossy(digits)))
}

#[test]
fn the_check_finds_what_is_wrong() {
    let dir = TestDir::new("real-text-check");
    let mut corpus = Corpus::default();
    corpus.take_lines(b"a\nb b\n\nd", usize::MAX);
    corpus.write(&dir.join("text")).expect("written");
    let lines = ["000000000 a", "000000001 b b", "000000002 ", "000000003 d"];
    let print = |records: &[(usize, usize, &str)]| {
        records
            .iter()
            .map(|(partition, offset, line)| format!("{partition} {offset} {line}\n"))
            .collect::<String>()
    };
    let good = [
        (0, 0, lines[0]),
        (1, 0, lines[1]),
        (0, 1, lines[2]),
        (1, 1, lines[3]),
    ];
    let order = check(print(&good).as_bytes(), &corpus).expect("all is there");
    assert_eq!(order, Order::from([(0, vec![0, 2]), (1, vec![1, 3])]));

    let broken = |records: &[(usize, usize, &str)], words: &str| {
        let error = check(print(records).as_bytes(), &corpus).expect_err(words);
        assert!(error.contains(words), "{error}");
    };
    broken(&good[..3], "line 3 is missing");
    broken(&[good[0], (0, 1, lines[0])], "line 0 came twice");
    broken(
        &[(0, 0, lines[2]), (0, 1, lines[0])],
        "line 0 came after Some(2)",
    );
    broken(
        &[good[0], (0, 2, lines[2])],
        "offset 2 where 1 was expected",
    );
    broken(&[(0, 0, "000000000 x")], "line 0 was changed");
    broken(&[(0, 0, "000000009 x")], "nobody sent this line");
    assert!(check(b"0 0 000000000 a", &corpus).is_err(), "cut short");
}
