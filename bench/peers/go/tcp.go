// What a message over loopback costs.

package main

import (
	"io"
	"net"
	"runtime"
	"sync"
)

const (
	tcpTrips   = 40_000
	tcpMessage = 64
	tcpBuffer  = 1024 // room to spare, as in real programs
)

func echo(server net.Conn) {
	var buffer [tcpBuffer]byte
	for {
		n, err := server.Read(buffer[:])
		if err == io.EOF {
			return
		}
		check(err)
		_, err = server.Write(buffer[:n])
		check(err)
	}
}

func ping(client net.Conn, trips int) {
	var buffer [tcpBuffer]byte
	for i := 0; i < trips; i++ {
		_, err := client.Write(buffer[:tcpMessage])
		check(err)
		for received := 0; received < tcpMessage; {
			n, err := client.Read(buffer[:])
			check(err)
			received += n
		}
	}
}

// connect makes the connections, starts their servers and returns the client ends. TCP_NODELAY is
// Go's default.
func connect(connections int) []net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	clients := make([]net.Conn, connections)
	for i := range clients {
		clients[i], err = net.Dial("tcp", listener.Addr().String())
		check(err)
		server, err := listener.Accept()
		check(err)
		go echo(server)
	}
	return clients
}

// pingPong sends 64 bytes to and fro over loopback, a client and a server goroutine for each
// connection. One operation is one round trip on any connection.
func pingPong(connections, workers int) func(config) {
	return func(c config) {
		runtime.GOMAXPROCS(workers)
		trips := c.repeat(tcpTrips) / connections
		clients := connect(connections)
		c.sample(trips*connections, func() {
			var group sync.WaitGroup
			group.Add(connections)
			for _, client := range clients {
				go func(client net.Conn) {
					ping(client, trips)
					group.Done()
				}(client)
			}
			group.Wait()
		})
	}
}
