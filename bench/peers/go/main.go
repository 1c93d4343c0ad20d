// Go's side of weft's benchmarks: the same work as bench/*.c, one file per family.
//
// weft-bench-go NAME [--workers W] [--samples N] [--quick] prints one line per sample: wall and CPU
// nanoseconds per operation. --list prints the names. There is no spawn_many_remote: every thread
// that runs Go code is one of the runtime's own, nothing is outside.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
)

type config struct {
	workers int
	samples int
	quick   bool
}

// repeat says how often to do something: full, or a quarter of that for --quick.
func (c config) repeat(full int) int {
	if c.quick {
		return full / 4
	}
	return full
}

type bench struct {
	name string
	run  func(config)
}

func benches() []bench {
	list := []bench{
		{"spawn_many_local", spawnMany},
		{"spawn_join", spawnJoin},
		{"chained_spawn", chainedSpawn},
		{"yield_many", yieldMany},
		{"sleep_many", sleepMany},
		{"sleep_many_stackless", sleepMany},
	}
	for _, workers := range []int{1, 2} {
		for _, connections := range []int{1, 2, 10, 100} {
			name := fmt.Sprintf("tcp_ping_pong_c%d_w%d", connections, workers)
			list = append(list, bench{name, pingPong(connections, workers)})
		}
	}
	return append(list,
		bench{"memory_sleeping", memorySleeping},
		bench{"memory_sleeping_stackless", memorySleeping})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr,
		"usage: weft-bench-go NAME [--workers W] [--samples N] [--quick] | --list")
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var c config
	options := flag.NewFlagSet(os.Args[1], flag.ContinueOnError)
	options.IntVar(&c.workers, "workers", 2, "")
	options.IntVar(&c.samples, "samples", 5, "")
	options.BoolVar(&c.quick, "quick", false, "")
	options.Usage = usage
	check(options.Parse(os.Args[2:]))
	if c.workers < 1 || c.samples < 1 || options.NArg() > 0 {
		usage()
	}
	runtime.GOMAXPROCS(c.workers)

	for _, b := range benches() {
		switch os.Args[1] {
		case "--list":
			fmt.Println(b.name)
		case b.name:
			b.run(c)
			return
		}
	}
	if os.Args[1] != "--list" {
		usage()
	}
}
