#!/bin/bash
# examples/http-hello with thousands of idle connections beside a hundred busy ones. States the server's memory for a
# connection, and checks that everybody is answered. Usage: smoke_crowd.sh EXAMPLES_DIR
set -u
command -v python3 >/dev/null || exit 77
exec python3 - "$1/http-hello" <<'PYTHON'
import atexit, os, re, resource, selectors, signal, socket, subprocess, sys, time

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))        # inherited by the server
small = os.environ.get('WEFT_TEST_SCALE') == 'small'
IDLE = min(300 if small else 9000, hard - 300)
BUSY, ROUNDS = (20, 20) if small else (100, 100)
REQUEST = b'GET / HTTP/1.1\r\nHost: crowd\r\n\r\n'
END = b'Hello, world!'

server = subprocess.Popen([sys.argv[1], '--port', '0', '--workers', '2'], stdout=subprocess.PIPE, text=True)
atexit.register(server.kill)
port = int(re.fullmatch(r'listening on 127\.0\.0\.1:(\d+)\n', server.stdout.readline())[1])


def memory():
    """Resident bytes of the server, and of its page tables."""
    text = open(f'/proc/{server.pid}/status').read()
    return [1024 * int(re.search(rf'{name}:\s+(\d+)', text)[1]) for name in ('VmRSS', 'VmPTE')]


def ask(client):
    client.sendall(REQUEST)
    got = b''
    while not got.endswith(END):
        more = client.recv(4096)
        assert more, 'the server closed a connection'
        got += more


def crowd(count):
    clients = []
    for _ in range(count):
        client = socket.create_connection(('127.0.0.1', port), 30)
        ask(client)             # so that the server's task has run
        clients.append(client)
    return clients


warm = crowd(10)
before = memory()
idle = crowd(IDLE)
resident, tables = ((after - was) / IDLE for after, was in zip(memory(), before))
print(f'{IDLE} idle connections: {resident:.0f} bytes resident each, and {tables:.0f} of page tables')

# A hundred at once: everybody has a request under way all the time.
busy = crowd(BUSY)
poll = selectors.DefaultSelector()
left, got, waits, started = {}, {}, [], {}
for client in busy:
    left[client], got[client], started[client] = ROUNDS, b'', time.monotonic()
    poll.register(client, selectors.EVENT_READ)
    client.sendall(REQUEST)
begin = time.monotonic()
while left:
    ready = poll.select(30)
    assert ready, 'the busy ones are not answered any more'
    for key, _ in ready:
        client = key.fileobj
        more = client.recv(4096)
        assert more, 'the server closed a busy connection'
        got[client] += more
        if not got[client].endswith(END):
            continue
        waits.append(time.monotonic() - started[client])
        left[client] -= 1
        if left[client]:
            got[client], started[client] = b'', time.monotonic()
            client.sendall(REQUEST)
        else:
            del left[client]
            poll.unregister(client)
waits.sort()
print(f'{BUSY} busy beside them: {len(waits) / (time.monotonic() - begin):.0f} answers/s to a client in Python, '
      f'p99 {1000 * waits[len(waits) * 99 // 100]:.1f} ms')

for client in idle[::50]:
    ask(client)                 # the idle ones are still served
began = time.monotonic()
server.send_signal(signal.SIGTERM)
assert server.wait(60) == 0, 'it does not end well'
took = time.monotonic() - began
print(f'ended {took:.2f} s after SIGTERM')
assert small or took < 1, 'that took too long'
PYTHON
