//! Stopwatch: each lap is one sample, the first is a warm-up and prints nothing.

use crate::Config;
use std::time::Instant;

pub struct Lap {
    warm_up: bool,
    operations: usize,
    wall: Instant,
    cpu: f64,
}

impl Lap {
    pub fn end(self) {
        let operations = self.operations as f64;
        let wall = self.wall.elapsed().as_nanos() as f64 / operations;
        let cpu = (cpu_ns() - self.cpu) / operations;
        if !self.warm_up {
            println!("{wall:.2} {cpu:.2}");
        }
    }
}

impl Config {
    /// One running lap per sample, after a warm-up; the caller ends each.
    pub fn laps(&self, operations: usize) -> impl Iterator<Item = Lap> {
        (0..=self.samples).map(move |index| Lap {
            warm_up: index == 0,
            operations,
            cpu: cpu_ns(),
            wall: Instant::now(),
        })
    }
}

/// User and system CPU time of the whole process.
pub fn cpu_ns() -> f64 {
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    let rc = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    assert_eq!(rc, 0, "getrusage failed");
    let ns = |t: libc::timeval| t.tv_sec as f64 * 1e9 + t.tv_usec as f64 * 1e3;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}
