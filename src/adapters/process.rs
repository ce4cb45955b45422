//! What the system says of this process, as Linux tells it in `/proc/self`. Elsewhere it is not known.

use std::fs;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory in RAM, in bytes.
    pub resident: u64,
    /// Processor time, in seconds.
    pub cpu: f64,
    pub threads: u64,
    pub open_files: u64,
    /// As many as it may open.
    pub most_files: Option<u64>,
    /// When it began, in seconds since 1970.
    pub started: f64,
}

/// Reads it; `None` where the system does not say.
pub fn usage() -> Option<Usage> {
    let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let boot: u64 = field(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The folder itself is open while it is read.
    let open_files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    Some(Usage {
        resident: stat.pages * page_size(),
        cpu: seconds(stat.ticks),
        threads: stat.threads,
        open_files: open_files as u64,
        most_files: most_files(&limits),
        started: seconds(stat.began) + precise(boot),
    })
}

/// The numbers of `/proc/self/stat` that are read.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    /// Ticks after the machine began.
    began: u64,
    pages: u64,
}

impl Stat {
    /// The second field is a name in brackets and may hold anything, brackets and spaces too.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let numbers: Vec<&str> = rest.split_whitespace().collect();
        // Numbered as in proc(5), where the state behind the name is the third.
        let number = |of: usize| numbers.get(of - 3)?.parse::<u64>().ok();
        Some(Self { ticks: number(14)? + number(15)?, threads: number(20)?, began: number(22)?, pages: number(24)? })
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn most_files(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

/// Linux tells user space a hundred ticks a second, whatever it counts by itself.
fn seconds(ticks: u64) -> f64 {
    precise(ticks) / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "no number here comes near 2^52")]
fn precise(number: u64) -> f64 {
    number as f64
}

#[cfg(target_os = "linux")]
fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(not(target_os = "linux"))]
fn page_size() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_confuses_nobody() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 21 18 9000 20 1234 22";
        assert_eq!(Stat::parse(text), Some(Stat { ticks: 200, threads: 21, began: 9000, pages: 1234 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(most_files("Max open files            1024   524288   files\n"), Some(1024));
        assert_eq!(field("cpu 1\nbtime 1800000000\n", "btime"), Some(1_800_000_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let held = vec![1_u8; 8 << 20];
        let usage = usage().unwrap();
        assert!(usage.resident >= held.len() as u64 && usage.resident < 64 << 30, "{usage:?}");
        assert!(usage.threads >= 1 && usage.open_files >= 3 && usage.started > 1.6e9, "{usage:?}");
    }
}
