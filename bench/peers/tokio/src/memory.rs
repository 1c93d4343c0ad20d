//! What a sleeping task weighs: resident bytes per task with a million of them (`--quick`:
//! 100 000). One sample per process, since memory once touched stays. Page tables are told apart.

use crate::lap::cpu_ns;
use crate::{on_worker, Config};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

static ASLEEP: AtomicUsize = AtomicUsize::new(0);

/// Bytes in the line of /proc/self/status that begins with `key`.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("no /proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    kilobytes.and_then(|n| n.parse::<f64>().ok()).expect(key) * 1024.0
}

async fn sleeper() {
    ASLEEP.fetch_add(1, Relaxed);
    sleep(Duration::from_secs(3600)).await;
}

pub fn sleeping(config: Config) {
    on_worker(config.workers, async move {
        let tasks = if config.quick { 100_000 } else { 1_000_000 };
        let (resident, tables, cpu) = (status("VmRSS"), status("VmPTE"), cpu_ns());
        for _ in 0..tasks {
            tokio::spawn(sleeper());
        }
        while ASLEEP.load(Relaxed) < tasks {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(50)).await;
        let per_task = |now: f64, before: f64| (now - before) / tasks as f64;
        println!(
            "{:.1} {:.2}",
            per_task(status("VmRSS"), resident),
            per_task(cpu_ns(), cpu)
        );
        println!("# page_tables={:.1}", per_task(status("VmPTE"), tables));
        std::process::exit(0); // without taking a million tasks down first
    });
}
