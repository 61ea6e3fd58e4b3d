//! The command line without a broker: help, usage errors, settings, exit codes, closed pipes.

mod common;

use std::fs;
use std::process::Stdio;

use common::{laminarmq, run, said};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn help_explains_every_verb_with_examples() {
    let dir = directory();
    let top = run(dir.path(), &["--help"]);
    assert_eq!(top.code, Some(0));
    for verb in [
        "serve", "topic", "group", "cluster", "produce", "consume", "config", "bench",
    ] {
        assert!(top.stdout.contains(verb), "{}", top.stdout);
    }
    for command in [
        &["serve"][..],
        &["topic", "create"],
        &["topic", "list"],
        &["topic", "describe"],
        &["topic", "alter-config"],
        &["topic", "add-partitions"],
        &["topic", "trim"],
        &["topic", "delete"],
        &["group", "list"],
        &["group", "describe"],
        &["group", "seek"],
        &["group", "delete"],
        &["cluster", "info"],
        &["cluster", "health"],
        &["produce"],
        &["consume"],
        &["config", "show"],
        &["bench"],
    ] {
        let help = run(dir.path(), &[command, &["--help"]].concat());
        assert_eq!(help.code, Some(0), "{command:?}");
        assert!(
            help.stdout.contains("Examples:"),
            "{command:?}: {}",
            help.stdout
        );
        assert_eq!(help.stderr, "");
    }
}

#[test]
fn every_setting_is_a_flag_of_serve() {
    let dir = directory();
    let help = run(dir.path(), &["serve", "--help"]).stdout;
    let shown = run(dir.path(), &["config", "show", "--json"]).stdout;
    let settings: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let settings = settings.as_array().expect("a list");
    assert!(settings.len() >= 10);
    for setting in settings {
        let name = setting["name"].as_str().expect("a name");
        assert!(help.contains(&format!("--{name}")), "{name}");
    }
}

#[test]
fn the_version_names_the_commit() {
    let dir = directory();
    for arguments in [&["--version"][..], &["-V"], &["version"]] {
        let version = run(dir.path(), arguments);
        assert_eq!(version.code, Some(0));
        let want = concat!("laminarmq ", env!("CARGO_PKG_VERSION"), " (commit ");
        assert!(version.stdout.starts_with(want), "{}", version.stdout);
    }
    let json = run(dir.path(), &["version", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["commit"].is_string());
}

#[test]
fn a_wrong_call_is_2_and_says_what_is_wrong() {
    let dir = directory();
    for (arguments, says) in [
        (&[][..], "Usage"),
        (&["frobnicate"], "frobnicate"),
        (&["produce"], "<TOPIC>"),
        (&["topic", "create"], "<NAME>"),
        (&["topic", "create", "t", "-p", "0"], "0 is not in 1.."),
        (&["topic", "create", "t", "-c", "flush"], "KEY=VALUE"),
        (
            &["consume", "t", "-o", "yesterday"],
            "`yesterday` is not an offset",
        ),
        (&["consume", "t", "-o", "9:5"], "before its start"),
        (&["consume", "t", "-o", "@noon"], "`@noon` is not a time"),
        (
            &["consume", "t", "-g", "g", "-p", "0"],
            "cannot be used with",
        ),
        (
            &["consume", "t", "-g", "g", "-o", "1:5"],
            "does not go with --group",
        ),
        (&["consume", "t", "-g", ""], "value"),
        (&["group", "seek", "g"], "--to"),
        (&["group", "seek", "g", "--to", "end", "-p", "0"], "--topic"),
        (
            &["group", "seek", "g", "--to", "end", "-t", "a,b", "-p", "0"],
            "one --topic only",
        ),
        (&["group", "seek", "g", "--to", "there"], "is not an offset"),
        (&["topic", "alter-config", "t"], "--config"),
        (
            &["topic", "alter-config", "t", "-c", "a=1", "--unset", "a"],
            "`a` is named twice",
        ),
        (&["topic", "add-partitions", "t"], "--partitions"),
        (&["topic", "trim", "t"], "--to"),
        (&["consume", "t", "-f", "%q"], "unknown token `%q`"),
        (&["consume", "t", "-b", "host:port"], "`port` is not a port"),
        (&["produce", "t", "-H", "x"], "NAME:VALUE"),
        (&["produce", "t", "--acks", "2"], "`0`, `1` or `all`"),
        (&["produce", "t", "-z", "brotli"], "zstd"),
        (&["serve", "--shards", "none"], "not a number from 1 to"),
        (&["serve", "--sharts", "1"], "--shards"),
        (&["serve", "--listen", "9092"], "the port is missing"),
        (&["bench", "--record-size", "1"], "is not between"),
        (
            &["bench", "--record-size", "1m", "--batch-size", "1000"],
            "is larger than",
        ),
    ] {
        let said = run(dir.path(), arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(says), "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
}

#[test]
fn settings_come_from_flag_environment_file_and_default() {
    let dir = directory();
    fs::write(
        dir.path().join("laminarmq.toml"),
        "shards = 3\nflush-threads = 3\ndefault-partitions = 3\n",
    )
    .expect("written");
    let mut command = laminarmq(dir.path());
    command
        .args(["config", "show", "--shards", "1"])
        .env("LAMINARMQ_SHARDS", "2")
        .env("LAMINARMQ_FLUSH_THREADS", "2");
    let shown = said(&mut command);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let row = |name: &str| {
        let line = shown.stdout.lines().find(|line| line.starts_with(name));
        let words = line.expect("a row").split_whitespace().skip(1);
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("shards"), "1 flag --shards");
    assert_eq!(
        row("flush-threads"),
        "2 environment LAMINARMQ_FLUSH_THREADS"
    );
    assert_eq!(row("default-partitions"), "3 file laminarmq.toml");
    assert_eq!(row("listen"), "127.0.0.1:9092 default");
    assert_eq!(row("advertise"), "- default");
}

#[test]
fn a_wrong_setting_is_blamed_on_its_place() {
    let dir = directory();
    let file = dir.path().join("other.toml");
    let path = file.to_str().expect("text");
    for (content, says) in [
        (
            "lissten = '127.0.0.1:1'",
            "unknown setting `lissten`: did you mean `listen`?",
        ),
        ("shards = 'many'", "`shards` from file"),
        ("shards = ", "other.toml:1:"),
    ] {
        fs::write(&file, content).expect("written");
        for command in [&["config", "show"][..], &["serve"]] {
            let said = run(dir.path(), &[command, &["--config", path]].concat());
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(said.stderr.contains(says), "{}", said.stderr);
        }
    }
    let missing = run(dir.path(), &["config", "show", "--config", "nowhere.toml"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("nowhere.toml"),
        "{}",
        missing.stderr
    );
}

#[test]
fn no_broker_is_1_and_says_how_to_start_one() {
    let dir = directory();
    // A port that was free just now and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port();
    let brokers = format!("127.0.0.1:{port}");
    for command in [
        &["topic", "list"][..],
        &["topic", "create", "t"],
        &["topic", "trim", "t", "--to", "end"],
        &["group", "list"],
        &["group", "describe", "g"],
        &["cluster", "info"],
        &["produce", "t"],
        &["consume", "t"],
        &["consume", "t", "-g", "g"],
        &["bench"],
    ] {
        let failed = run(dir.path(), &[command, &["-b", &brokers]].concat());
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert_eq!(failed.stdout, "");
        assert_eq!(
            failed.stderr,
            format!(
                "error: cannot reach {brokers}: is the broker running? \
                 start one with `laminarmq serve`\n"
            )
        );
    }
    let mut command = laminarmq(dir.path());
    command
        .args(["topic", "list", "--json"])
        .env("LAMINARMQ_BROKERS", &brokers);
    let failed = said(&mut command);
    assert_eq!(failed.code, Some(1));
    let error: serde_json::Value = serde_json::from_str(&failed.stderr).expect("JSON");
    assert_eq!(error["error"], format!("cannot reach {brokers}"));
}

#[test]
fn a_missing_file_is_told_before_a_broker_is_asked() {
    let dir = directory();
    let failed = run(
        dir.path(),
        &["produce", "t", "nowhere.txt", "-b", "127.0.0.1:1"],
    );
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.stderr.starts_with("error: cannot read nowhere.txt"),
        "{failed:?}"
    );
}

#[test]
fn a_closed_pipe_is_quiet() {
    let dir = directory();
    for arguments in [&["--help"][..], &["config", "show"], &["version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = laminarmq(dir.path());
        command.args(arguments).stdout(Stdio::from(writer));
        let output = command.stderr(Stdio::piped()).spawn();
        let output = output.expect("starts").wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}
