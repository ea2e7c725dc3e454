//! The standard `process_*` metrics, read from `/proc` at each scrape. What cannot be read is left out.

use std::fs;

use super::exposition::{Kind, Visitor};
use super::facts::count;

/// Gives what `/proc` says of this process.
pub(super) fn visit(visitor: &mut dyn Visitor) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read) {
        stat.visit(visitor);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // Reading the directory holds one descriptor itself.
        let open = count(files.count().saturating_sub(1) as u64);
        single(visitor, "process_open_fds", "Open file descriptors.", Kind::Gauge, open);
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(most_files) {
        single(visitor, "process_max_fds", "The most file descriptors that may be open.", Kind::Gauge, most);
    }
}

/// Fields of `/proc/self/stat` (proc(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field is the program's name in brackets and may hold spaces and brackets of its own.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        let second = count(rustix::param::clock_ticks_per_second()).max(1.0);
        let page = rustix::param::page_size() as u64;
        let cpu = count(self.cpu_ticks) / second;
        single(visitor, "process_cpu_seconds_total", "Processor time used, user and system.", Kind::Counter, cpu);
        let resident = count(self.resident_pages.saturating_mul(page));
        single(visitor, "process_resident_memory_bytes", "Memory in use.", Kind::Gauge, resident);
        let reserved = count(self.virtual_bytes);
        single(visitor, "process_virtual_memory_bytes", "Address space in use.", Kind::Gauge, reserved);
        single(visitor, "process_threads", "Threads.", Kind::Gauge, count(self.threads));
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            let start = boot + count(self.start_ticks) / second;
            single(
                visitor,
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
                Kind::Gauge,
                start,
            );
        }
    }
}

fn single(visitor: &mut dyn Visitor, name: &'static str, help: &'static str, kind: Kind, value: f64) {
    visitor.family(name, help, kind);
    visitor.sample("", &[], value);
}

/// When the machine started, from `/proc/stat`.
fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit of open files, from `/proc/self/limits`.
fn most_files(text: &str) -> Option<f64> {
    let limits = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match limits.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 5 0 999 4096 3 18446744073709551615";
        let stat = Stat { cpu_ticks: 42, threads: 5, start_ticks: 999, virtual_bytes: 4096, resident_pages: 3 };
        assert_eq!(Stat::read(text), Some(stat));
        assert_eq!(Stat::read("7 (cut"), None);
    }

    #[test]
    fn limits_and_boot_time_are_found() {
        assert_eq!(
            most_files("x\nMax open files            1024                 4096                 files\n"),
            Some(1024.0)
        );
        assert_eq!(most_files("Max open files unlimited unlimited files"), Some(f64::INFINITY));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }
}
