//! The process, under the names that Prometheus' own libraries use.

use super::exposition::Exposition;

/// Writes what the system tells about this process; nothing where it tells nothing.
#[cfg(target_os = "linux")]
pub(super) fn write(out: &mut Exposition) {
    // A process that may not look at itself has other problems; a scrape without these is still one.
    if let Err(error) = try_write(out) {
        tracing::debug!(%error, "cannot read what /proc says about this process");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn write(_: &mut Exposition) {}

#[cfg(target_os = "linux")]
fn try_write(out: &mut Exposition) -> procfs::ProcResult<()> {
    use super::exposition::{Kind, Labels};
    use procfs::process::{LimitValue, Process};

    let process = Process::myself()?;
    let stat = process.stat()?;
    let open = process.fd_count()?;
    let most = process.limits()?.max_open_files.soft_limit;
    let ticks = procfs::ticks_per_second();
    let seconds = (stat.utime + stat.stime) as f64 / ticks as f64;
    let started = procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks as f64;
    let resident = stat.rss * procfs::page_size();
    let none = Labels::NONE;
    out.family(
        "process_cpu_seconds_total",
        Kind::Counter,
        "CPU time that the process has used, in seconds.",
    )
    .sample(&none, seconds);
    out.family(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the process that is resident, the mapped pages of files too.",
    )
    .sample(&none, resident);
    out.family(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Address space of the process.",
    )
    .sample(&none, stat.vsize);
    out.family(
        "process_open_fds",
        Kind::Gauge,
        "File descriptors that are open.",
    )
    .sample(&none, open);
    if let LimitValue::Value(most) = most {
        out.family(
            "process_max_fds",
            Kind::Gauge,
            "File descriptors that may be open (the soft limit).",
        )
        .sample(&none, most);
    }
    out.family("process_threads", Kind::Gauge, "Threads of the process.")
        .sample(&none, stat.num_threads);
    out.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since 1970-01-01 UTC.",
    )
    .sample(&none, started);
    Ok(())
}
