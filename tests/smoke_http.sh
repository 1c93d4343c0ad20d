#!/bin/bash
# examples/http-hello against curl and against clients that behave badly. Usage: smoke_http.sh EXAMPLES_DIR
set -u
command -v python3 >/dev/null && command -v curl >/dev/null || exit 77
exec python3 - "$1/http-hello" <<'PYTHON'
import atexit, os, re, signal, socket, subprocess, sys, threading, time

server = subprocess.Popen([sys.argv[1], '--port', '0', '--workers', '2'], stdout=subprocess.PIPE, text=True)
atexit.register(server.kill)
limit = 10 if os.environ.get('WEFT_TEST_SCALE') == 'small' else 1      # seconds until it has ended
address = re.fullmatch(r'listening on 127\.0\.0\.1:(\d+)\n', server.stdout.readline())
assert address, 'it does not say where it listens'
port = int(address[1])
slow = 5            # seconds that any answer may take


def connect():
    client = socket.create_connection(('127.0.0.1', port), slow)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_reply(file, head=False):
    """(status, headers, body) of the next reply, or None at the end of the stream."""
    line = file.readline()
    if not line:
        return None
    status = int(re.fullmatch(rb'HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\n', line)[1])
    headers = {}
    while (line := file.readline()) != b'\r\n':
        name, value = line.decode().split(':', 1)
        headers[name.lower()] = value.strip()
    body = b'' if head else file.read(int(headers['content-length']))
    return status, headers, body


def check(what, sent, *statuses, closes=False, pieces=None):
    """Sends bytes, at once or in pieces; expects replies with these statuses, and whether it ends then."""
    client = connect()
    file = client.makefile('rb')
    size = pieces or len(sent)
    try:
        for i in range(0, len(sent), size):
            client.sendall(sent[i:i + size])
        for wanted in statuses:
            reply = read_reply(file, sent.startswith(b'HEAD'))
            assert reply, f'{what}: the stream ends where {wanted} should come'
            status, headers, body = reply
            assert status == wanted, f'{what}: {status} instead of {wanted}'
            if status == 200:
                assert headers['content-length'] == '13', what
                assert body == b'' if sent.startswith(b'HEAD') else body == b'Hello, world!', what
        if closes:
            assert headers.get('connection') == 'close', f'{what}: does not say that it closes'
            assert file.read(1) == b'', f'{what}: is not closed'
        else:
            client.sendall(b'GET / HTTP/1.1\r\n\r\n')
            reply = read_reply(file)
            assert reply and reply[0] == 200, f'{what}: is closed'
    finally:
        file.close()
        client.close()


def curl(*arguments):
    url = f'http://127.0.0.1:{port}/'
    done = subprocess.run(['curl', '-s', '--max-time', str(slow), *arguments, url], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done)
    return done.stdout


assert curl() == 'Hello, world!'
assert curl('-I').startswith('HTTP/1.1 200 OK')
assert curl('-0') == 'Hello, world!'
assert curl('-o', '/dev/null', '-w', '%{http_code}', '-d', 'some=form') == '405'
assert curl('-o', '/dev/null', '-w', '%{http_code}', '-H', 'X: ' + 'x' * 20000) == '431'
two = ('-o', '/dev/null', '-o', '/dev/null', f'http://127.0.0.1:{port}/')
assert curl(*two, '-w', '%{num_connects}') == '10', 'the second request makes a connection of its own'

get = b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
check('plain', get, 200)
check('bare line feeds', b'GET / HTTP/1.1\nHost: x\n\n', 200)
check('byte by byte', get, 200, pieces=1)
check('HEAD', b'HEAD /some/where?x=y HTTP/1.1\r\nHost: x\r\n\r\n', 200)
check('HTTP/1.0', b'GET / HTTP/1.0\r\n\r\n', 200, closes=True)
check('close', b'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 200, closes=True)
check('CLOSE', b'GET / HTTP/1.1\r\ncONNECTION:CLOSE  \r\n\r\n', 200, closes=True)
check('keep-alive', b'GET / HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n', 200)
check('no body', b'GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n', 200)

check('pipeline', get * 100, *[200] * 100)
check('pipeline in pieces', get * 100, *[200] * 100, pieces=7)
check('long pipeline', b'GET / HTTP/1.1\n\n' * 5000, *[200] * 5000)
check('pipeline to a close', get * 3 + b'GET / HTTP/1.0\r\n\r\n' + get, *[200] * 4, closes=True)
check('pipeline to a mistake', get * 3 + b'nonsense\r\n\r\n' + get, 200, 200, 200, 400, closes=True)

for request in (b'nonsense\r\n\r\n', b'\r\n\r\n', b'GET /\r\n\r\n', b'GET  / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.2\r\n\r\n',
                b'GET / HTTP/2.0\r\n\r\n', b'GET / HTTP/1.1 \r\n\r\n', b' GET / HTTP/1.1\r\n\r\n', b'GET /\x01 HTTP/1.1\r\n\r\n',
                b'GET / HTTP/1.1\r\nno colon\r\n\r\n', b'GET / HTTP/1.1\r\n: nameless\r\n\r\n',
                b'GET / HTTP/1.1\r\nHost : x\r\n\r\n', b'GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n',
                b'GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello', b'GET / HTTP/1.1\r\nContent-Length: +0\r\n\r\n',
                b'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', b'G\0T / HTTP/1.1\r\n\r\n',
                b'GET / HTTP/1.1\r\nA\0: b\r\n\r\n', b'\x16\x03\x01\x02\n\x01'):
    check(request, request, 400, closes=True)
for method in (b'POST', b'PUT', b'DELETE', b'get', b'HEADS', b'GE', b'X'):
    check(method, method + b' / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello', 405, closes=True)

start = b'GET / HTTP/1.1\r\nX: '
check('8 KiB exactly', start + b'x' * (8192 - len(start) - 4) + b'\r\n\r\n', 200)
check('8 KiB and one', start + b'x' * (8193 - len(start) - 4) + b'\r\n\r\n', 431, closes=True)
check('8 KiB after others', get * 50 + start + b'x' * (8192 - len(start) - 4) + b'\r\n\r\n', *[200] * 51)
check('a megabyte', start + b'x' * 1000000, 431, closes=True)

for i in range(200):    # clients that go away, in order or not, in the middle of things
    client = connect()
    client.sendall(get * 10 + b'GET / HT')
    if i % 2:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    client.close()
check('after all that', get, 200)


def hammer():
    try:
        client = connect()
        while client.sendall(get * 4) is None and client.recv(65536):
            pass
    except OSError:
        pass


threads = [threading.Thread(target=hammer) for _ in range(16)]
idle = [connect() for _ in range(50)]
for thread in threads:
    thread.start()
time.sleep(0.3)         # load, not synchronisation: the signal may come at any time
started = time.monotonic()
server.send_signal(signal.SIGTERM)
rest = server.communicate(timeout=30)[0]
took = time.monotonic() - started
for thread in threads:
    thread.join()
assert server.returncode == 0, f'exit status {server.returncode}'
assert took < limit, f'needed {took:.2f} s to end'
fields = ' '.join(f'{name}=\\d+' for name in ('tasks', 'polls', 'steals', 'parks', 'wakes', 'io_events'))
assert re.fullmatch(f'counters: {fields}\n', rest), rest
PYTHON
