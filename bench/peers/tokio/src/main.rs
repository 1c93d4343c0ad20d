//! Tokio's side of weft's benchmarks: the same work as `bench/*.c`, one module per family.
//!
//! `weft-bench-tokio NAME [--workers W] [--samples N] [--quick]` prints one line per sample:
//! wall and CPU nanoseconds per operation. `--list` prints the names.

mod lap;
mod memory;
mod sleep;
mod spawn;
mod tcp;
mod yields;

use std::future::Future;
use std::process::exit;
use tokio::runtime::{Builder, Runtime};

#[derive(Clone, Copy)]
pub struct Config {
    pub workers: usize,
    pub samples: usize,
    pub quick: bool,
}

impl Config {
    /// How often to repeat something: `full`, or a quarter of that for `--quick`.
    pub fn repeat(&self, full: usize) -> usize {
        if self.quick {
            full / 4
        } else {
            full
        }
    }
}

type Bench = fn(Config);

const BENCHES: &[(&str, Bench)] = &[
    ("spawn_many_local", spawn::many_local),
    ("spawn_many_remote", spawn::many_remote),
    ("spawn_join", spawn::join),
    ("chained_spawn", spawn::chained),
    ("yield_many", yields::many),
    ("sleep_many", sleep::many),
    ("sleep_many_stackless", sleep::many),
    ("tcp_ping_pong_c1_w1", |c| tcp::ping_pong(c, 1, 1)),
    ("tcp_ping_pong_c2_w1", |c| tcp::ping_pong(c, 2, 1)),
    ("tcp_ping_pong_c10_w1", |c| tcp::ping_pong(c, 10, 1)),
    ("tcp_ping_pong_c100_w1", |c| tcp::ping_pong(c, 100, 1)),
    ("tcp_ping_pong_c1_w2", |c| tcp::ping_pong(c, 1, 2)),
    ("tcp_ping_pong_c2_w2", |c| tcp::ping_pong(c, 2, 2)),
    ("tcp_ping_pong_c10_w2", |c| tcp::ping_pong(c, 10, 2)),
    ("tcp_ping_pong_c100_w2", |c| tcp::ping_pong(c, 100, 2)),
    ("memory_sleeping", memory::sleeping),
    ("memory_sleeping_stackless", memory::sleeping),
];

/// A multi-thread runtime with `workers` workers.
pub fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("cannot build the runtime")
}

/// Runs `root` to its end as a task on a worker, not on the thread that calls `block_on`.
pub fn on_worker(workers: usize, root: impl Future<Output = ()> + Send + 'static) {
    let runtime = runtime(workers);
    runtime
        .block_on(runtime.spawn(root))
        .expect("the root task failed");
}

fn usage() -> ! {
    eprintln!("usage: weft-bench-tokio NAME [--workers W] [--samples N] [--quick] | --list");
    exit(2)
}

fn number(argument: Option<String>) -> usize {
    match argument.and_then(|text| text.parse().ok()) {
        Some(n) if n > 0 => n,
        _ => usage(),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| usage());
    if name == "--list" {
        BENCHES.iter().for_each(|(name, _)| println!("{name}"));
        return;
    }
    let mut config = Config {
        workers: 2,
        samples: 5,
        quick: false,
    };
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--workers" => config.workers = number(arguments.next()),
            "--samples" => config.samples = number(arguments.next()),
            "--quick" => config.quick = true,
            _ => usage(),
        }
    }
    match BENCHES.iter().find(|(known, _)| *known == name) {
        Some((_, run)) => run(config),
        None => usage(),
    }
}
