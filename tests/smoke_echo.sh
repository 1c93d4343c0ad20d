#!/bin/bash
# examples/echo against plain sockets. Usage: smoke_echo.sh EXAMPLES_DIR
set -u
command -v python3 >/dev/null || exit 77
exec python3 - "$1/echo" <<'PYTHON'
import atexit, os, re, signal, socket, subprocess, sys, threading, time

server = subprocess.Popen([sys.argv[1], '0'], stdout=subprocess.PIPE, text=True)
atexit.register(server.kill)
limit = 10 if os.environ.get('WEFT_TEST_SCALE') == 'small' else 1      # seconds until it has ended
address = re.fullmatch(r'listening on 127\.0\.0\.1:(\d+)\n', server.stdout.readline())
assert address, 'it does not say where it listens'


def connect():
    return socket.create_connection(('127.0.0.1', int(address[1])), 10)


def read(end, size):
    parts = b''
    while len(parts) < size and (part := end.recv(size - len(parts))):
        parts += part
    return parts


def read_to_end(client):
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b''.join(parts)


client = connect()      # a conversation
for size in (1, 2, 4095, 4096, 4097, 10000):
    data = os.urandom(size)
    client.sendall(data)
    assert read(client, size) == data
client.close()

data = os.urandom(8 << 20)      # more than all buffers hold, and the end of it
client = connect()
writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
writer.start()
assert read_to_end(client) == data
writer.join()
client.close()

crowd = [connect() for _ in range(200)]
for i, client in enumerate(crowd):
    client.sendall(b'%d' % i)
for i, client in enumerate(crowd):
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b'%d' % i

for i in range(100):            # clients that break off
    client = connect()
    client.sendall(b'x' * 1000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    client.close()
client = connect()
client.sendall(b'still there?')
assert read(client, 12) == b'still there?'

taken = subprocess.run([sys.argv[1], address[1]], capture_output=True, text=True, timeout=30)
assert taken.returncode == 1 and 'in use' in taken.stderr, taken

started = time.monotonic()      # with open connections
server.send_signal(signal.SIGINT)
server.communicate(timeout=30)
assert server.returncode == 0, f'exit status {server.returncode}'
assert time.monotonic() - started < limit, 'does not end'
PYTHON
