// What a trip through the scheduler costs.

package main

import (
	"runtime"
	"sync"
)

const (
	yieldTasks = 200
	yieldTimes = 1_000
)

// yieldMany has 200 goroutines yield 1000 times each.
func yieldMany(c config) {
	rounds := c.repeat(20)
	c.sample(rounds*yieldTasks*yieldTimes, func() {
		for r := 0; r < rounds; r++ {
			var group sync.WaitGroup
			group.Add(yieldTasks)
			for i := 0; i < yieldTasks; i++ {
				go func() {
					for n := 0; n < yieldTimes; n++ {
						runtime.Gosched()
					}
					group.Done()
				}()
			}
			group.Wait()
		}
	})
}
