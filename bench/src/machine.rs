//! What a reader must know of the machine to judge the numbers.

use std::path::Path;
use std::process::Command;
use std::{fs, thread};

/// Kernel, cores, processor, and the file system that holds `dir`, in one line.
#[must_use]
pub fn describe(dir: &Path) -> String {
    let kernel = last_line(Command::new("uname").args(["-s", "-r", "-m"]));
    let mut file_system = Command::new("df");
    let file_system = last_line(file_system.arg("--output=fstype").arg(dir));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', ':']);
    format!("{kernel}; {cores} cores, {cpu}; {file_system}")
}

/// How busy the machine was over the last minute, as the kernel counts it; empty where it does not say.
#[must_use]
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The directory that a new one at `dir` would stand in.
#[must_use]
pub fn parent(dir: &Path) -> &Path {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The last line of a command's output; empty when it fails.
#[must_use]
pub fn last_line(command: &mut Command) -> String {
    let done = command.output();
    let text = done
        .map(|done| String::from_utf8_lossy(&done.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next_back().unwrap_or_default().to_owned()
}
