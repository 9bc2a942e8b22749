"""Eight megabytes each way with a half-close between, by plain sockets.

`serve PORT` reads to the end, then answers with the digest of what came and as many bytes back;
`call HOST PORT` sends, says that it is done, reads to the end and prints what it got.
"""

import hashlib
import socket
import sys
import threading

BYTES = bytes((at * 7) % 251 for at in range(1 << 16)) * 128


def read_all(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def answer(connection):
    with connection:
        got = read_all(connection)
        connection.sendall(hashlib.sha256(got).hexdigest().encode() + got[::-1])


def serve(port):
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    print("open", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,)).start()


def call(host, port):
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(BYTES)
        connection.shutdown(socket.SHUT_WR)
        got = read_all(connection)
    print(got[:64].decode(), len(got) - 64, hashlib.sha256(got[64:]).hexdigest())


{"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
