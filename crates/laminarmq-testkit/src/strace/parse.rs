//! One line of strace's output after the other.

use std::collections::HashMap;

use super::{Argument, Call, Descriptor, ParseError, Step, Trace};

/// How much of a line an error shows.
const SHOWN_CHARS: usize = 200;
const UNFINISHED: &str = " <unfinished ...>";

/// All calls of a trace, in order.
///
/// # Errors
/// On a line that is no trace of a call, a signal or an exit.
pub fn parse(trace: &str) -> Result<Trace, ParseError> {
    let mut found = Trace::default();
    let mut unfinished = HashMap::new();
    for (number, text) in (1..).zip(trace.lines()) {
        parse_line(number, text, &mut unfinished, &mut found).ok_or_else(|| ParseError {
            line: number,
            text: text.chars().take(SHOWN_CHARS).collect(),
        })?;
    }
    Ok(found)
}

/// `unfinished` has the call that each thread is in, when its line was interrupted.
fn parse_line(
    line: usize,
    text: &str,
    unfinished: &mut HashMap<u32, usize>,
    found: &mut Trace,
) -> Option<()> {
    let (thread, rest) = text.split_once(' ')?;
    let thread = thread.parse().ok()?;
    let rest = rest.trim_start();
    if rest.starts_with("+++ ") || rest.starts_with("--- ") {
        return Some(());
    }
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let (name, rest) = resumed.split_once(" resumed>")?;
        let number = unfinished.remove(&thread)?;
        let call = &mut found.calls[number];
        if call.name != name {
            return None;
        }
        call.result = result(rest)?;
        if call.result.is_some() {
            found.steps.push(Step::Exit(number));
        }
        return Some(());
    }

    let (name, rest) = rest.split_once('(')?;
    let (given, returned) = match rest.strip_suffix(UNFINISHED) {
        Some(given) => (given, None),
        None => {
            let (given, _) = rest.rsplit_once(" = ")?;
            (given.trim_end().strip_suffix(')')?, Some(result(rest)?))
        }
    };
    let number = found.calls.len();
    found.calls.push(Call {
        line,
        thread,
        name: name.to_owned(),
        arguments: arguments(given)?,
        result: returned.flatten(),
    });
    found.steps.push(Step::Enter(number));
    match returned {
        // A thread is in one call at a time.
        None => unfinished.insert(thread, number).is_none().then_some(())?,
        Some(Some(_)) => found.steps.push(Step::Exit(number)),
        Some(None) => {}
    }
    Some(())
}

/// The number behind the last ` = `; nothing for a call that never returned (`?`, or a number that is no
/// error, which strace takes from a thread that is being killed).
fn result(text: &str) -> Option<Option<i64>> {
    let (_, result) = text.rsplit_once(" = ")?;
    if result.starts_with("-1 (errno ") {
        return Some(None);
    }
    let word = result.split_ascii_whitespace().next()?;
    // A new descriptor has what it refers to behind it.
    let word = word.split_once('<').map_or(word, |(number, _)| number);
    if word == "?" {
        Some(None)
    } else if let Some(digits) = word.strip_prefix("0x") {
        i64::from_str_radix(digits, 16).ok().map(Some)
    } else {
        word.parse().ok().map(Some)
    }
}

/// Splits at the commas that stand neither in a string nor within brackets.
fn arguments(text: &str) -> Option<Vec<Argument>> {
    let mut found = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    let mut in_string = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                found.push(argument(&text[start..at])?);
                start = at + 1;
            }
            _ => {}
        }
    }
    if in_string || depth != 0 {
        return None;
    }
    if !text.is_empty() {
        found.push(argument(&text[start..])?);
    }
    Some(found)
}

fn argument(text: &str) -> Option<Argument> {
    let text = text.trim();
    let descriptor = descriptor(text);
    let mut found = Argument {
        descriptor,
        ..Argument::default()
    };
    if found.descriptor.is_some() {
        // What a socket refers to may have a string in it.
        text.clone_into(&mut found.text);
        return Some(found);
    }
    // Within quotes everything is escaped, so quotes come in pairs.
    for (number, part) in text.split('"').enumerate() {
        if number % 2 == 0 {
            found.text.push_str(part);
        } else {
            unescape(part, &mut found.bytes)?;
        }
    }
    Some(found)
}

/// A number or `AT_FDCWD`, and what stands in `<>` behind it, with hexadecimal escapes resolved.
fn descriptor(text: &str) -> Option<Descriptor> {
    let (number, rest) = text.split_once('<')?;
    let number = match number {
        "AT_FDCWD" => None,
        digits => Some(digits.parse().ok()?),
    };
    // Behind it may stand "(deleted)". A socket's addresses hold `->`, so it is the last one that ends it.
    let (inside, _) = rest.rsplit_once('>')?;
    let mut bytes = Vec::new();
    let target = match unescape(inside, &mut bytes) {
        Some(()) => String::from_utf8_lossy(&bytes).into_owned(),
        None => inside.to_owned(),
    };
    Some(Descriptor { number, target })
}

/// Adds the bytes that `\xNN\xNN...` stands for.
fn unescape(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    bytes.reserve(groups.len());
    for &[backslash, x, high, low] in groups {
        if (backslash, x) != (b'\\', b'x') {
            return None;
        }
        bytes.push(nibble(high)? << 4 | nibble(low)?);
    }
    Some(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(trace: &str) -> Trace {
        parse(trace).expect("a trace")
    }

    #[test]
    fn whole_calls_enter_and_exit_at_once() {
        let trace = parsed(concat!(
            "7 fdatasync(6<\\x2f\\x74>) = 0\n",
            "7 pwritev2(6<\\x2f\\x74>, [{iov_base=\"\\x00\\x61\", iov_len=2}, {iov_base=\"\\x62\"..., iov_len=99}], 2, 0, 0) = 101\n",
            "8 sync() = 0\n",
            "8 openat(AT_FDCWD<\\x2f>, \"\\x74\", O_RDWR|O_CREAT, 0666)     = 6<\\x2f\\x74>\n",
            "8 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 6<\\x2f\\x74>(deleted), 0) = 0x7f01\n",
        ));
        let steps: Vec<_> = (0..5)
            .flat_map(|n| [Step::Enter(n), Step::Exit(n)])
            .collect();
        assert_eq!(trace.steps, steps);
        let [sync, write, all, open, map] = &trace.calls[..] else {
            panic!("{trace:?}")
        };
        assert_eq!(
            (sync.line, sync.thread, sync.target(), sync.result),
            (1, 7, "/t", Some(0))
        );
        assert_eq!((write.data(), write.result), (b"\0ab".to_vec(), Some(101)));
        assert_eq!(write.arguments[3].text, "0");
        assert_eq!((all.target(), all.arguments.len()), ("", 0));
        assert_eq!(
            open.arguments[0].descriptor,
            Some(Descriptor {
                number: None,
                target: "/".to_owned()
            })
        );
        assert_eq!(
            (&open.arguments[1].bytes[..], &open.arguments[2].text[..]),
            (&b"t"[..], "O_RDWR|O_CREAT")
        );
        assert_eq!(open.result, Some(6));
        assert_eq!(map.result, Some(0x7f01));
        assert_eq!(
            map.arguments[4].descriptor,
            Some(Descriptor {
                number: Some(6),
                target: "/t".to_owned()
            })
        );
    }

    #[test]
    fn calls_of_several_threads_interleave() {
        let trace = parsed(concat!(
            "7 fdatasync(6<\\x74> <unfinished ...>\n",
            "8 sendto(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\\x01\", 1, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe)\n",
            "8 --- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER} ---\n",
            "7 <... fdatasync resumed>)          = 0\n",
            "7 +++ exited with 0 +++\n",
        ));
        let order = [Step::Enter(0), Step::Enter(1), Step::Exit(1), Step::Exit(0)];
        assert_eq!(trace.steps, order);
        let [sync, send] = &trace.calls[..] else {
            panic!("{trace:?}")
        };
        assert_eq!((sync.target(), sync.result), ("t", Some(0)));
        assert_eq!(send.target(), "TCP:[127.0.0.1:1->127.0.0.1:2]");
        assert_eq!((send.data(), send.result), (vec![1], Some(-1)));
        assert!(!send.succeeded());
    }

    #[test]
    fn a_call_that_never_returned_has_no_exit() {
        for text in [
            "7 fsync(6<\\x74>) = ?\n",
            "7 fsync(6<\\x74>) = -1 (errno 18446744073709551596)\n",
            "7 fsync(6<\\x74> <unfinished ...>\n7 +++ killed by SIGKILL +++\n",
            "7 fsync(6<\\x74> <unfinished ...>\n7 <... fsync resumed>) = ?\n",
        ] {
            let trace = parsed(text);
            assert_eq!(trace.steps, [Step::Enter(0)], "{text}");
            assert_eq!(
                (trace.calls[0].result, trace.calls[0].succeeded()),
                (None, false)
            );
        }
    }

    #[test]
    fn other_lines_are_errors() {
        for text in [
            "hello",
            "7 fsync(6<\\x74>)",
            "7 <... fsync resumed>) = 0",
            "x fsync(6) = 0",
            "7 write(1, \"a\", 1) = 1",
            "7 write(1, \"\\x61, 1) = 1",
            "7 writev(1, [{iov_base=\"\\x61\", iov_len=1}, 1) = 1",
        ] {
            assert_eq!(parse(text).expect_err("no trace").line, 1, "{text}");
        }
    }
}
