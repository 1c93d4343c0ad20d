// What a sleeping goroutine weighs.

package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// status returns the bytes in the line of /proc/self/status that begins with key.
func status(key string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == key {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			check(err)
			return kilobytes * 1024
		}
	}
	log.Fatal("no ", key, " in /proc/self/status")
	return 0
}

// memorySleeping prints the resident bytes per sleeping goroutine with a million of them (--quick:
// 100 000). One sample per process, since memory once touched stays.
func memorySleeping(c config) {
	tasks := 1_000_000
	if c.quick {
		tasks = 100_000
	}
	var asleep atomic.Int64
	resident, tables, cpu := status("VmRSS:"), status("VmPTE:"), cpuTime()
	for i := 0; i < tasks; i++ {
		go func() {
			asleep.Add(1)
			time.Sleep(time.Hour)
		}()
	}
	for asleep.Load() < int64(tasks) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	perTask := func(now, before float64) float64 { return (now - before) / float64(tasks) }
	fmt.Printf("%.1f %.2f\n", perTask(status("VmRSS:"), resident),
		perOperation(cpuTime()-cpu, tasks))
	fmt.Printf("# page_tables=%.1f\n", perTask(status("VmPTE:"), tables))
}
