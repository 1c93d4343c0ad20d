// The stopwatch: a warm-up, then one line per sample.

package main

import (
	"fmt"
	"syscall"
	"time"
)

// sample runs work once to warm up and then once per sample, and prints what an operation cost.
func (c config) sample(operations int, work func()) {
	for i := 0; i <= c.samples; i++ {
		cpu, wall := cpuTime(), time.Now()
		work()
		wallTime, cpuTime := time.Since(wall), cpuTime()-cpu
		if i > 0 {
			fmt.Printf("%.2f %.2f\n", perOperation(wallTime, operations),
				perOperation(cpuTime, operations))
		}
	}
}

func perOperation(d time.Duration, operations int) float64 {
	return float64(d.Nanoseconds()) / float64(operations)
}

// cpuTime is the user and system CPU time of the whole process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
