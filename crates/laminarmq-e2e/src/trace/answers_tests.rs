use laminarmq_testkit::strace::parse;

use super::*;

const FOLDER: &str = "/d/topics/t-0/";

/// The path as `strace -xx` shows it.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn write(thread: u32, file: &str) -> String {
    format!(
        "{thread} pwritev(9<{}>, [{{iov_base=\"\\x01\", iov_len=1}}], 1, 0) = 1\n",
        hex(file)
    )
}

fn sync(thread: u32, file: &str) -> String {
    format!("{thread} fdatasync(9<{}>) = 0\n", hex(file))
}

fn respond(thread: u32, correlation: u8) -> String {
    let data = format!("\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x{correlation:02x}\\xff");
    format!(
        "{thread} sendto(4<TCP:[127.0.0.1:9092->127.0.0.1:555]>, \"{data}\", 9, MSG_NOSIGNAL, NULL, 0) = 9\n"
    )
}

fn judge(trace: &str) -> Answers {
    let watch = Watch {
        folder: FOLDER,
        suffix: ".log",
        listener: "127.0.0.1:9092",
        correlations: 0..100,
    };
    answers(&parse(trace).expect("a trace"), &watch)
}

fn log() -> String {
    format!("{FOLDER}00000000000000000001.log")
}

#[test]
fn a_response_after_write_and_sync_keeps_the_promise() {
    let round = |n| write(1, &log()) + &sync(2, &log()) + &respond(3, n);
    let found = judge(&(round(0) + &round(1)));
    assert_eq!(found.violation(0..2), None);
    assert_eq!((found.writes, found.syncs), (2, 2));
}

#[test]
fn a_missing_sync_breaks_it() {
    let trace =
        write(1, &log()) + &sync(2, &log()) + &respond(3, 0) + &write(1, &log()) + &respond(3, 1);
    let violation = judge(&trace).violation(0..2).expect("a violation");
    assert!(
        violation.contains("response 1 left before its data was synced (line 5"),
        "{violation}"
    );
}

#[test]
fn a_sync_after_the_response_breaks_it() {
    let trace = write(1, &log()) + &respond(3, 0) + &sync(2, &log());
    assert!(judge(&trace).violation(0..1).is_some());
}

#[test]
fn a_sync_that_has_not_ended_breaks_it() {
    let path = hex(&log());
    let began = format!("2 fdatasync(9<{path}> <unfinished ...>\n");
    let ended = "2 <... fdatasync resumed>) = 0\n";
    let early = write(1, &log()) + &began + &respond(3, 0) + ended;
    assert!(judge(&early).violation(0..1).is_some());
    let late = write(1, &log()) + &began + ended + &respond(3, 0);
    assert_eq!(judge(&late).violation(0..1), None);
}

#[test]
fn a_sync_that_began_before_the_write_ended_breaks_it() {
    let path = hex(&log());
    let before = format!("2 fdatasync(9<{path}> <unfinished ...>\n");
    let trace = before + &write(1, &log()) + "2 <... fdatasync resumed>) = 0\n" + &respond(3, 0);
    assert!(judge(&trace).violation(0..1).is_some());

    let began = format!(
        "1 pwritev(9<{path}>, [{{iov_base=\"\\x01\", iov_len=1}}], 1, 0 <unfinished ...>\n"
    );
    let trace = began + &sync(2, &log()) + "1 <... pwritev resumed>) = 1\n" + &respond(3, 0);
    assert!(judge(&trace).violation(0..1).is_some());
}

#[test]
fn a_failed_sync_breaks_it() {
    let failed = sync(2, &log()).replace("= 0", "= -1 EIO (Input/output error)");
    assert!(
        judge(&(write(1, &log()) + &failed + &respond(3, 0)))
            .violation(0..1)
            .is_some()
    );
}

#[test]
fn the_sync_of_another_file_breaks_it() {
    for other in [
        "/d/topics/t-1/00000000000000000001.log",
        "/d/topics/t-0/00000000000000000001.index",
    ] {
        let trace = write(1, &log()) + &sync(2, other) + &respond(3, 0);
        assert!(judge(&trace).violation(0..1).is_some(), "{other}");
    }
}

#[test]
fn every_data_file_that_was_written_must_be_synced() {
    let next = format!("{FOLDER}00000000000000000009.log");
    let both = write(1, &log()) + &write(1, &next);
    assert!(
        judge(&(both.clone() + &sync(2, &next) + &respond(3, 0)))
            .violation(0..1)
            .is_some()
    );
    let synced = both.clone() + &sync(2, &next) + &sync(2, &log()) + &respond(3, 0);
    assert_eq!(judge(&synced).violation(0..1), None);
    let whole = both + &format!("2 syncfs(8<{}>) = 0\n", hex("/d")) + &respond(3, 0);
    assert_eq!(judge(&whole).violation(0..1), None);
}

#[test]
fn an_answer_without_a_write_breaks_it() {
    let trace = write(1, &log()) + &sync(2, &log()) + &respond(3, 0) + &respond(3, 1);
    let violation = judge(&trace).violation(0..2).expect("a violation");
    assert!(
        violation.contains("response 1 left although nothing was written"),
        "{violation}"
    );
}

#[test]
fn missing_repeated_and_foreign_answers_are_told_apart() {
    let round = |n| write(1, &log()) + &sync(2, &log()) + &respond(3, n);
    assert!(judge(&round(0)).violation(0..2).is_some());
    assert!(judge(&(round(0) + &round(0))).violation(0..1).is_some());
    // Not from the listener, or not within the range: not looked at.
    let foreign = round(0) + &respond(3, 120) + &respond(3, 1).replace("9092", "9093");
    assert_eq!(judge(&foreign).violation(0..1), None);
}
