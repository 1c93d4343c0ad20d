// What a timer costs.

package main

import (
	"sync/atomic"
	"time"
)

const sleepTasks = 100_000

// sleepMany has 100 000 goroutines sleep 1 to 100 ms each. The CPU time counts; the wall time has a
// floor of 100 ms / 100 000 = 1000 ns.
func sleepMany(c config) {
	var left atomic.Int64
	done := make(chan struct{}, 1)
	c.sample(sleepTasks, func() {
		left.Store(sleepTasks)
		for i := 0; i < sleepTasks; i++ {
			go func(pause time.Duration) {
				time.Sleep(pause)
				if left.Add(-1) == 0 {
					done <- struct{}{}
				}
			}(time.Duration(1+i%100) * time.Millisecond)
		}
		<-done
	})
}
