use super::*;
use crate::power_cut::image::Node;
use crate::strace::parse;

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// A trace from a readable one: `<path>` and "text" stand for their escaped forms.
fn trace(text: &str) -> Trace {
    let mut escaped = String::new();
    for line in text.trim().lines() {
        let mut rest = line.trim();
        escaped.push_str("7 ");
        while let Some(at) = rest.find(['<', '"']) {
            let (open, close) = match rest.as_bytes()[at] {
                b'<' => ("<", ">"),
                _ => ("\"", "\""),
            };
            let (before, inside) = rest.split_at(at);
            let (inside, after) = inside[1..].split_once(close).expect("it is closed");
            escaped.push_str(before);
            let keeps = inside.starts_with("unfinished") || inside.starts_with("...");
            let inside = if keeps {
                inside.to_owned()
            } else {
                hex(inside)
            };
            escaped.push_str(&format!("{open}{inside}{close}"));
            rest = after;
        }
        escaped.push_str(rest);
        escaped.push('\n');
    }
    parse(&escaped).expect("a trace")
}

fn run(text: &str) -> Result<Machine, Unmodelled> {
    let trace = trace(text);
    let mut machine = Machine::new(Path::new("/r"), SyncBug::None);
    for &step in &trace.steps {
        machine.step(&trace, step)?;
    }
    Ok(machine)
}

/// What programs see after the calls.
#[track_caller]
fn seen(text: &str) -> Vec<String> {
    let machine = run(text).expect("everything is modelled");
    let image = machine.disk.seen();
    let show = |(path, node): (&str, &Node)| match node {
        Node::Directory => format!("{path}/"),
        Node::File(content) => format!("{path}={}", String::from_utf8_lossy(content)),
    };
    image.nodes().map(show).collect()
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let error = run(text).expect_err("it is not modelled").to_string();
    assert!(error.contains(why), "{error}");
}

const OPEN: &str = r#"openat(AT_FDCWD</r>, "/r/f", O_RDWR|O_CREAT, 0666) = 5</r/f>"#;

#[track_caller]
fn content_after(calls: &str) -> String {
    let seen = seen(&format!("{OPEN}\n{calls}"));
    seen[0].strip_prefix("f=").expect("the file").to_owned()
}

#[test]
fn writes_go_to_the_cursor_or_where_they_say() {
    let content = content_after(
        r#"write(5</r/f>, "abc", 3) = 3
           write(5</r/f>, "def", 3) = 2
           pwrite64(5</r/f>, "X", 1, 1) = 1
           writev(5</r/f>, [{iov_base="g", iov_len=1}, {iov_base="h", iov_len=1}], 2) = 2
           pwritev2(5</r/f>, [{iov_base="i", iov_len=1}], 1, -1, 0) = 1
           lseek(5</r/f>, 2, SEEK_SET) = 2
           write(5</r/f>, "Z", 1) = 1
           write(5</r/f>, "lost", 4) = -1 ENOSPC (No space left on device)"#,
    );
    assert_eq!(content, "aXZdeghi");
}

#[test]
fn appending_files_are_written_at_their_end() {
    let open = OPEN.replace("O_RDWR", "O_RDWR|O_APPEND");
    let text = format!(
        "{open}\n{}",
        r#"write(5</r/f>, "abc", 3) = 3
           lseek(5</r/f>, 0, SEEK_SET) = 0
           write(5</r/f>, "d", 1) = 1"#
    );
    assert_eq!(seen(&text), ["f=abcd"]);
}

#[test]
fn lengths_and_rooms_are_set() {
    let content = content_after(
        r#"write(5</r/f>, "abcdef", 6) = 6
           ftruncate(5</r/f>, 4) = 0
           fallocate(5</r/f>, 0, 2, 4) = 0
           fallocate(5</r/f>, FALLOC_FL_KEEP_SIZE, 0, 400) = 0
           fallocate(5</r/f>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 1, 1) = 0"#,
    );
    assert_eq!(content, "a\0cd\0\0");
    assert_eq!(content_after(r#"truncate("/r/f", 2) = 0"#), "\0\0");
}

#[test]
fn names_are_made_moved_and_removed() {
    let text = r#"
        mkdir("/r/d", 0777) = 0
        mkdir("/r/d", 0777) = -1 EEXIST (File exists)
        openat(AT_FDCWD</r>, "/r/d/f.new", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5</r/d/f.new>
        write(5</r/d/f.new>, "x", 1) = 1
        rename("/r/d/f.new", "/r/d/f") = 0
        write(5</r/d/f>, "y", 1) = 1
        close(5</r/d/f>) = 0
        openat(AT_FDCWD</r>, "/r/d", O_RDONLY|O_DIRECTORY) = 5</r/d>
        openat(5</r/d>, "g", O_WRONLY|O_CREAT, 0666) = 6</r/d/g>
        linkat(AT_FDCWD</r>, "/r/d/f", 5</r/d>, "h", 0) = 0
        unlinkat(5</r/d>, "g", 0) = 0
        write(6</r/d/g>(deleted), "z", 1) = 1
        rename("/r/d", "/r/e") = 0
        openat(5</r/e>, "i", O_WRONLY|O_CREAT, 0666) = 7</r/e/i>
        openat(AT_FDCWD</r>, "/etc/passwd", O_WRONLY|O_CREAT, 0666) = 8</etc/passwd>
        write(8</etc/passwd>, "elsewhere", 9) = 9
    "#;
    assert_eq!(seen(text), ["e/", "e/f=xy", "e/h=xy", "e/i="]);
}

#[test]
fn opening_may_empty_a_file() {
    let text = format!(
        "{OPEN}\n{}",
        r#"write(5</r/f>, "abc", 3) = 3
           openat(AT_FDCWD</r>, "/r/f", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 6</r/f>
           write(6</r/f>, "d", 1) = 1"#
    );
    assert_eq!(seen(&text), ["f=d"]);
}

#[test]
fn duplicates_share_the_cursor() {
    let content = content_after(
        r#"fcntl(5</r/f>, F_DUPFD_CLOEXEC, 0) = 6</r/f>
           write(6</r/f>, "ab", 2) = 2
           close(5</r/f>) = 0
           dup(6</r/f>) = 5</r/f>
           write(5</r/f>, "c", 1) = 1"#,
    );
    assert_eq!(content, "abc");
}

#[test]
fn syncs_reach_the_disk() {
    let dropped = |calls: &str| {
        use rand::SeedableRng;
        let machine = run(&format!("{OPEN}\n{calls}")).expect("modelled");
        let rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let mut fate = crate::power_cut::fate::Fate::drop_all(rng);
        machine.disk.after_cut(&mut fate).0.nodes().count()
    };
    let directory = r#"openat(AT_FDCWD</r>, "/r", O_RDONLY) = 6</r>"#;
    assert_eq!(dropped("fsync(5</r/f>) = 0"), 0);
    assert_eq!(dropped(&format!("{directory}\nfsync(6</r>) = 0")), 1);
    assert_eq!(dropped("sync() = 0"), 1);
    assert_eq!(dropped("syncfs(5</r/f>) = 0"), 1);
    assert_eq!(dropped(&format!("{directory}\nfsync(6</r>) = ?")), 0);
}

#[test]
fn what_is_not_modelled_is_an_error() {
    for (call, why) in [
        (r#"sendfile(5</r/f>, 9</x>, NULL, 10) = 10"#, "not modelled"),
        (
            r#"pwritev2(5</r/f>, [{iov_base="i", iov_len=1}], 1, 0, RWF_DSYNC) = 1"#,
            "flags",
        ),
        (
            r#"pwrite64(5</r/f>, "i"..., 10, 0) = 10"#,
            "all that was written",
        ),
        (
            r#"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5</r/f>, 0) = 0x7f00"#,
            "mapping",
        ),
        (
            r#"openat(AT_FDCWD</r>, "/r/g", O_RDWR|O_CREAT|O_DSYNC, 0666) = 6</r/g>"#,
            "opened like this",
        ),
        (
            r#"openat(AT_FDCWD</r>, "/r/g", O_RDONLY) = 6</r/g>"#,
            "does not have",
        ),
        (
            r#"openat(AT_FDCWD</r>, "/r/../x", O_RDONLY) = 6</x>"#,
            "dots",
        ),
        (
            r#"renameat2(AT_FDCWD</r>, "/r/f", AT_FDCWD</r>, "/r/g", RENAME_EXCHANGE) = 0"#,
            "flags",
        ),
        (r#"rename("/r/f", "/x") = 0"#, "out of the directory"),
        (r#"symlink("/x", "/r/g") = 0"#, "not modelled"),
        (
            r#"fsync(5</r/f>) = -1 EIO (Input/output error)"#,
            "a sync failed",
        ),
        (
            r#"write(6</r/f>, "x", 1) = 1"#,
            "does not know this descriptor",
        ),
        (r#"write(5</x>, "x", 1) = 1"#, "takes the descriptor"),
        (
            r#"fallocate(5</r/f>, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) = 0"#,
            "allocation",
        ),
        (r#"io_uring_setup(8, {flags=0}) = 6"#, "not modelled"),
        (
            r#"clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD) = 9"#,
            "second process",
        ),
        (
            r#"fcntl(5</r/f>, F_SETFL, O_APPEND) = 0"#,
            "how writes work",
        ),
        (r#"chdir("/x") = 0"#, "not modelled"),
    ] {
        refused(&format!("{OPEN}\n{call}"), why);
    }
}

#[test]
fn a_call_without_a_model_is_refused_whatever_it_does() {
    for call in [
        "splice",
        "copy_file_range",
        "ioctl",
        "open_by_handle_at",
        "sendmmsg",
        "io_uring_enter",
        "io_submit",
        "fchdir",
        "chroot",
        "fork",
        "vfork",
        "made_up",
    ] {
        refused(&format!("{OPEN}\n{call}(5</r/f>) = 0"), "not modelled");
    }
}
