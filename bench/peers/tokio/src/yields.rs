//! What a trip through the scheduler costs: 200 tasks yield 1000 times each.

use crate::{on_worker, Config};

const TASKS: usize = 200;
const YIELDS: usize = 1_000;

async fn yielder() {
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
    }
}

pub fn many(config: Config) {
    on_worker(config.workers, async move {
        let rounds = config.repeat(20);
        for lap in config.laps(rounds * TASKS * YIELDS) {
            for _ in 0..rounds {
                let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(yielder())).collect();
                for task in tasks {
                    task.await.expect("a task failed");
                }
            }
            lap.end();
        }
    });
}
