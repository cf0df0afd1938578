# SPDX-License-Identifier: Apache-2.0
"""pgwire: just enough of the PostgreSQL protocol to be a client by the thousand, or a bad one."""
import socket
import struct


def startup(**params):
    body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in params.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, 0x30000) + body


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError("closed after %d of %d bytes" % (len(data), n))
        data += more
    return data


def message(s):
    head = read_exactly(s, 5)
    return head[:1], read_exactly(s, struct.unpack("!I", head[1:])[0] - 4)


def fields(body):
    """Of an ErrorResponse: {'C': sqlstate, 'M': text, ...}"""
    return {f[:1].decode(): f[1:].decode() for f in body.split(b"\0") if f}


class Refused(Exception):
    def __init__(self, found):
        Exception.__init__(self, found.get("M"))
        self.sqlstate, self.hint = found.get("C"), found.get("H")


def connect(to, timeout):
    """to: a port, or the path of a unix socket"""
    if isinstance(to, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(to)
    else:
        s = socket.create_connection(("127.0.0.1", to), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Session:
    def __init__(self, to, timeout=120, **params):
        params.setdefault("user", "postgres")
        params.setdefault("database", "postgres")
        self.s = connect(to, timeout)
        self.s.sendall(startup(**params))
        self.key = None
        self.until_ready()

    def until_ready(self):
        rows = []
        while True:
            kind, body = message(self.s)
            if kind == b"E":
                raise Refused(fields(body))
            if kind == b"K":
                self.key = body
            if kind == b"D":
                n = struct.unpack("!i", body[2:6])[0]
                rows.append(body[6 : 6 + n].decode() if n >= 0 else None)
            if kind == b"Z":
                return rows

    def query(self, sql):
        q = sql.encode() + b"\0"
        self.s.sendall(b"Q" + struct.pack("!I", len(q) + 4) + q)
        return self.until_ready()

    def close(self):
        self.s.close()


def cancel(to, key):
    with connect(to, 10) as s:
        s.sendall(struct.pack("!II", 8 + len(key), 80877102) + key)
        return s.recv(1)
