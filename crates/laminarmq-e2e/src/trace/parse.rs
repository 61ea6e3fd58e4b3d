//! One line of strace's output after the other.

use std::collections::HashMap;
use std::fmt;

/// The start or the end of one system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The call begins.
    Enter(Call),
    /// The call ends, with this result (negative when it failed).
    Exit(Call, i64),
}

/// A system call, as far as it was known when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The line of the trace on which it begins, from 1.
    pub line: usize,
    /// The thread that calls.
    pub thread: u32,
    /// The call's name.
    pub name: String,
    /// What the first file descriptor refers to: a path, or for a socket `TCP:[local->peer]`.
    pub target: String,
    /// The bytes handed over, in order; cut where strace was told to cut.
    pub data: Vec<u8>,
}

/// A line that is not as `strace -f -yy -xx` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    line: usize,
    text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no line of a trace: {}", self.line, self.text)
    }
}

impl std::error::Error for ParseError {}

/// All calls of a trace, in order.
///
/// # Errors
/// On a line that is no trace of a call, a signal or an exit.
pub fn parse(trace: &str) -> Result<Vec<Event>, ParseError> {
    let mut events = Vec::new();
    let mut unfinished = HashMap::new();
    for (number, text) in (1..).zip(trace.lines()) {
        parse_line(number, text, &mut unfinished, &mut events).ok_or_else(|| ParseError {
            line: number,
            text: text.to_owned(),
        })?;
    }
    Ok(events)
}

fn parse_line(
    line: usize,
    text: &str,
    unfinished: &mut HashMap<u32, Call>,
    events: &mut Vec<Event>,
) -> Option<()> {
    let (thread, rest) = text.split_once(' ')?;
    let thread = thread.parse().ok()?;
    let rest = rest.trim_start();
    if rest.starts_with("+++ ") || rest.starts_with("--- ") {
        return Some(());
    }
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let (name, rest) = resumed.split_once(" resumed>")?;
        let call = unfinished.remove(&thread)?;
        if call.name != name {
            return None;
        }
        events.push(Event::Exit(call, result(rest)?));
        return Some(());
    }
    let (name, arguments) = rest.split_once('(')?;
    let call = Call {
        line,
        thread,
        name: name.to_owned(),
        target: target(arguments),
        data: data(arguments)?,
    };
    events.push(Event::Enter(call.clone()));
    if rest.ends_with("<unfinished ...>") {
        // A thread is in one call at a time.
        return unfinished.insert(thread, call).is_none().then_some(());
    }
    events.push(Event::Exit(call, result(rest)?));
    Some(())
}

/// The number behind the last ` = `; a call that never returned (`?`) counts as failed.
fn result(text: &str) -> Option<i64> {
    let (_, result) = text.rsplit_once(" = ")?;
    let word = result.split_ascii_whitespace().next()?;
    if word == "?" {
        Some(-1)
    } else {
        word.parse().ok()
    }
}

/// What stands in `<>` behind the first descriptor, with hexadecimal escapes resolved.
fn target(arguments: &str) -> String {
    let first = arguments.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(inside) = first.strip_prefix('<') else {
        return String::new();
    };
    // A socket's addresses hold `->`; a path has no plain `>`, since every byte of it is escaped.
    let end = if inside.starts_with("TCP") {
        inside.find("]>").map(|at| at + 1)
    } else {
        inside.find('>')
    };
    let inside = &inside[..end.unwrap_or(inside.len())];
    match unescape(inside) {
        Some(bytes) if inside.starts_with("\\x") => String::from_utf8_lossy(&bytes).into_owned(),
        _ => inside.to_owned(),
    }
}

/// The bytes of all strings in quotes, joined.
fn data(arguments: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // Within quotes everything is escaped, so quotes come in pairs.
    for string in arguments.split('"').skip(1).step_by(2) {
        bytes.extend(unescape(string)?);
    }
    Some(bytes)
}

/// The bytes that `\xNN\xNN...` stands for.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split("\\x");
    if !parts.next()?.is_empty() {
        return None;
    }
    parts.map(|hex| u8::from_str_radix(hex, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: usize, thread: u32, name: &str, target: &str, data: &[u8]) -> Call {
        Call {
            line,
            thread,
            name: name.to_owned(),
            target: target.to_owned(),
            data: data.to_vec(),
        }
    }

    #[test]
    fn whole_calls_enter_and_exit_at_once() {
        let trace = concat!(
            "7 fdatasync(6<\\x2f\\x74>) = 0\n",
            "7 pwritev2(6<\\x2f\\x74>, [{iov_base=\"\\x00\\x61\", iov_len=2}, {iov_base=\"\\x62\"..., iov_len=99}], 2, 0, 0) = 101\n",
            "7 sync() = 0\n",
        );
        let sync = call(1, 7, "fdatasync", "/t", b"");
        let write = call(2, 7, "pwritev2", "/t", b"\0ab");
        let all = call(3, 7, "sync", "", b"");
        let expected = [
            Event::Enter(sync.clone()),
            Event::Exit(sync, 0),
            Event::Enter(write.clone()),
            Event::Exit(write, 101),
            Event::Enter(all.clone()),
            Event::Exit(all, 0),
        ];
        assert_eq!(parse(trace).expect("a trace"), expected);
    }

    #[test]
    fn calls_of_several_threads_interleave() {
        let trace = concat!(
            "7 fdatasync(6<\\x74> <unfinished ...>\n",
            "8 sendto(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\\x01\", 1, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe)\n",
            "8 --- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER} ---\n",
            "7 <... fdatasync resumed>)          = 0\n",
            "7 +++ exited with 0 +++\n",
        );
        let sync = call(1, 7, "fdatasync", "t", b"");
        let send = call(2, 8, "sendto", "TCP:[127.0.0.1:1->127.0.0.1:2]", b"\x01");
        let expected = [
            Event::Enter(sync.clone()),
            Event::Enter(send.clone()),
            Event::Exit(send, -1),
            Event::Exit(sync, 0),
        ];
        assert_eq!(parse(trace).expect("a trace"), expected);
    }

    #[test]
    fn a_call_that_never_returned_has_failed() {
        let events = parse("7 fsync(6<\\x74>) = ?\n").expect("a trace");
        assert!(
            matches!(events[..], [Event::Enter(_), Event::Exit(_, -1)]),
            "{events:?}"
        );
    }

    #[test]
    fn other_lines_are_errors() {
        for text in [
            "hello",
            "7 fsync(6<\\x74>)",
            "7 <... fsync resumed>) = 0",
            "x fsync(6) = 0",
            "7 write(1, \"a\", 1) = 1",
        ] {
            assert_eq!(parse(text).expect_err("no trace").line, 1, "{text}");
        }
    }
}
