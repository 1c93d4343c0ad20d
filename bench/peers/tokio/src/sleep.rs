//! What a timer costs: 100 000 tasks sleep 1 to 100 ms each. The CPU time counts; the wall time
//! has a floor of 100 ms / 100 000 = 1000 ns.

use crate::spawn::Countdown;
use crate::{on_worker, Config};
use std::time::Duration;

const TASKS: usize = 100_000;

pub fn many(config: Config) {
    let countdown = Countdown::leak();
    on_worker(config.workers, async move {
        for lap in config.laps(TASKS) {
            countdown.start(TASKS);
            for i in 0..TASKS {
                let time = Duration::from_millis(1 + i as u64 % 100);
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    countdown.down();
                });
            }
            countdown.wait().await;
            lap.end();
        }
    });
}
