#!/bin/bash
# examples/proxy in front of plain sockets: both directions, half-closing, targets that are not there, and the end.
# Usage: smoke_proxy.sh EXAMPLES_DIR
set -u
command -v python3 >/dev/null || exit 77
exec python3 - "$1/proxy" <<'PYTHON'
import atexit, os, re, signal, socket, subprocess, sys, threading, time

target = socket.create_server(('127.0.0.1', 0), backlog=100)
target.settimeout(10)
proxy = subprocess.Popen([sys.argv[1], '127.0.0.1:0', 'localhost:%d' % target.getsockname()[1]],
                         stdout=subprocess.PIPE, text=True)
atexit.register(proxy.kill)
limit = 10 if os.environ.get('WEFT_TEST_SCALE') == 'small' else 1      # seconds until it has ended
address = re.fullmatch(r'listening on 127\.0\.0\.1:(\d+)\n', proxy.stdout.readline())
assert address, 'it does not say where it listens'


def connect():
    return socket.create_connection(('127.0.0.1', int(address[1])), 10)


def connected():
    client = connect()
    server = target.accept()[0]
    server.settimeout(10)
    return client, server


def read(end, size):
    parts = b''
    while len(parts) < size and (part := end.recv(size - len(parts))):
        parts += part
    return parts


def read_to_end(end):
    parts = []
    while part := end.recv(1 << 16):
        parts.append(part)
    return b''.join(parts)


def descriptors():
    return len(os.listdir(f'/proc/{proxy.pid}/fd'))


def await_descriptors(wanted):
    for _ in range(1000):
        if descriptors() <= wanted:
            return
        time.sleep(0.01)
    raise AssertionError(f'{descriptors()} descriptors are open, and {wanted} should be at most')


client, server = connected()
client.sendall(b'question')
assert read(server, 8) == b'question'
server.sendall(b'answer')
assert read(client, 6) == b'answer'
for end in client, server:
    end.close()

for near, far in (0, 1), (1, 0):        # the end of one direction leaves the other open
    ends = connected()
    ends[near].sendall(b'last words')
    ends[near].shutdown(socket.SHUT_WR)
    assert read_to_end(ends[far]) == b'last words'
    ends[far].sendall(b'x' * 100000)
    ends[far].close()
    assert read_to_end(ends[near]) == b'x' * 100000
    ends[near].close()

data = [os.urandom(4 << 20), os.urandom(4 << 20)]       # both at once, and much
ends = connected()


def send(i):
    ends[i].sendall(data[i])
    ends[i].shutdown(socket.SHUT_WR)


received = [None, None]


def receive(i):
    received[i] = read_to_end(ends[i])


threads = [threading.Thread(target=f, args=(i,)) for f in (send, receive) for i in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert received == data[::-1]
for end in ends:
    end.close()

for round in range(2):          # a connection takes two descriptors, and none when it has ended
    pairs = [connected() for _ in range(50)]
    assert descriptors() >= 100
    for pair in pairs:
        for end in pair:
            end.close()
    await_descriptors(20)

for near, far in (0, 1), (1, 0):        # a reset on one side does not leave the other hanging
    ends = connected()
    ends[near].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    ends[near].close()
    try:
        assert ends[far].recv(1) == b''
    except ConnectionResetError:
        pass
    ends[far].close()

left_open = [connected() for _ in range(20)]
target.close()
client = connect()              # nobody there any more: the client is told by the end of the stream
try:
    assert client.recv(1) == b''
except ConnectionResetError:
    pass

started = time.monotonic()
proxy.send_signal(signal.SIGTERM)
proxy.communicate(timeout=30)
assert proxy.returncode == 0, f'exit status {proxy.returncode}'
assert time.monotonic() - started < limit, 'does not end'
for client, server in left_open:
    assert client.recv(1) == b'' and server.recv(1) == b''

wrong = subprocess.run([sys.argv[1]], capture_output=True, text=True, timeout=30)
assert wrong.returncode == 2 and 'usage' in wrong.stderr, wrong
PYTHON
