//! What a spawn costs: 10 000 detached tasks at once, from a task and from a thread outside; one
//! task spawned and joined, over and over; a chain in which each task spawns the next.

use crate::{on_worker, runtime, Config};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use tokio::sync::{oneshot, Notify};

const TASKS: usize = 10_000;
const LINKS: usize = 1_000;
const JOINS: usize = 100_000;

/// The tasks share it through a leaked reference, as C does: no reference counts in the figure.
pub struct Countdown {
    left: AtomicUsize,
    done: Notify,
}

impl Countdown {
    pub fn leak() -> &'static Countdown {
        Box::leak(Box::new(Countdown {
            left: AtomicUsize::new(0),
            done: Notify::new(),
        }))
    }

    pub fn start(&self, from: usize) {
        self.left.store(from, Relaxed);
    }

    pub fn down(&self) {
        if self.left.fetch_sub(1, Relaxed) == 1 {
            self.done.notify_one();
        }
    }

    pub async fn wait(&self) {
        self.done.notified().await;
    }
}

pub fn many_local(config: Config) {
    let countdown = Countdown::leak();
    on_worker(config.workers, async move {
        let rounds = config.repeat(40);
        for lap in config.laps(rounds * TASKS) {
            for _ in 0..rounds {
                countdown.start(TASKS);
                for _ in 0..TASKS {
                    tokio::spawn(async move { countdown.down() });
                }
                countdown.wait().await;
            }
            lap.end();
        }
    });
}

pub fn many_remote(config: Config) {
    let runtime = runtime(config.workers);
    let (done, all_done) = sync_channel(1);
    let (left, done) = (
        &*Box::leak(Box::new(AtomicUsize::new(0))),
        &*Box::leak(Box::new(done)),
    );
    let rounds = config.repeat(40);
    for lap in config.laps(rounds * TASKS) {
        for _ in 0..rounds {
            left.store(TASKS, Relaxed);
            for _ in 0..TASKS {
                runtime.spawn(async move {
                    if left.fetch_sub(1, Relaxed) == 1 {
                        done.send(()).expect("nobody waits");
                    }
                });
            }
            all_done.recv().expect("the last task was lost");
        }
        lap.end();
    }
}

pub fn join(config: Config) {
    on_worker(config.workers, async move {
        let rounds = config.repeat(4);
        for lap in config.laps(rounds * JOINS) {
            for _ in 0..rounds * JOINS {
                tokio::spawn(async {}).await.expect("the task failed");
            }
            lap.end();
        }
    });
}

fn link(left: usize, done: oneshot::Sender<()>) {
    if left == 0 {
        done.send(()).expect("nobody waits");
    } else {
        tokio::spawn(async move { link(left - 1, done) });
    }
}

pub fn chained(config: Config) {
    on_worker(config.workers, async move {
        let chains = config.repeat(400);
        for lap in config.laps(chains * LINKS) {
            for _ in 0..chains {
                let (done, end) = oneshot::channel();
                link(LINKS, done);
                end.await.expect("the chain broke");
            }
            lap.end();
        }
    });
}
