// What starting a goroutine costs: 10 000 at once; one started and waited for, over and over; a
// chain in which each starts the next.

package main

import "sync/atomic"

const (
	spawnTasks = 10_000
	spawnLinks = 1_000
	spawnJoins = 100_000
)

// spawnMany starts 10 000 goroutines that each decrement a counter; the last one signals.
func spawnMany(c config) {
	rounds := c.repeat(40)
	var left atomic.Int64
	done := make(chan struct{}, 1)
	c.sample(rounds*spawnTasks, func() {
		for r := 0; r < rounds; r++ {
			left.Store(spawnTasks)
			for i := 0; i < spawnTasks; i++ {
				go func() {
					if left.Add(-1) == 0 {
						done <- struct{}{}
					}
				}()
			}
			<-done
		}
	})
}

// spawnJoin starts one goroutine and waits for its end, over and over.
func spawnJoin(c config) {
	joins := c.repeat(4) * spawnJoins
	c.sample(joins, func() {
		for i := 0; i < joins; i++ {
			ended := make(chan struct{})
			go close(ended)
			<-ended
		}
	})
}

func link(left int, done chan<- struct{}) {
	if left == 0 {
		done <- struct{}{}
	} else {
		go link(left-1, done)
	}
}

// chainedSpawn makes chains of 1000 goroutines, each started by the one before it.
func chainedSpawn(c config) {
	chains := c.repeat(400)
	done := make(chan struct{}, 1)
	c.sample(chains*spawnLinks, func() {
		for i := 0; i < chains; i++ {
			link(spawnLinks, done)
			<-done
		}
	})
}
