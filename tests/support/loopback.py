"""A provider on loopback that counts connections and requests, over TLS and as a proxy."""

import contextlib
import socket
import ssl
import subprocess
import threading

PROVIDER = "api.openai.com"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


def end(connection):
    """Let whoever waits for *connection* go on; its TLS layer is left alone."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Listening:
    """A server on loopback with a thread for each connection; `talk` is what it says."""

    def __init__(self):
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.threads = []
        self.begin(self.accept)

    def begin(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        with self.listener, contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                self.open.append(connection)
                self.begin(self.talk, connection)

    def talk(self, connection):
        raise NotImplementedError

    def close(self):
        # Each thread closes what it reads from: closed by another one, the handle's number may be
        # another file's while the thread still uses it.
        for one in (self.listener, *self.open):
            end(one)
        for thread in self.threads:
            thread.join(5)
            assert not thread.is_alive()


class Provider(Listening):
    """An HTTP server over TLS or plain text that counts connections and requests.

    It also speaks CONNECT, as a proxy that leads every name to itself.
    """

    def __init__(self, context):
        self.context = context
        self.tunnels = []
        self.requests = []
        super().__init__()

    def talk(self, connection):
        with contextlib.suppress(OSError):
            if connection.recv(8, socket.MSG_PEEK).startswith(b"CONNECT"):
                head = read_head(connection)
                self.tunnels.append(head.split()[1].decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            if connection.recv(1, socket.MSG_PEEK) == b"\x16":
                connection = self.context.wrap_socket(connection, server_side=True)
                self.open.append(connection)
            while head := read_head(connection):
                self.requests.append(head.split(b"\r\n")[0].decode())
                connection.sendall(ANSWER)
        connection.close()


def read_head(connection):
    """Everything up to the empty line, or nothing at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return b""
        head += piece
    return head


class NameServer:
    """A DNS server on loopback that answers every question for an A record with 127.0.0.1."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.questions = []
        self.thread = threading.Thread(target=self.answer, daemon=True)
        self.thread.start()

    def answer(self):
        with self.socket, contextlib.suppress(OSError):
            while True:
                query, sender = self.socket.recvfrom(512)
                if not query:
                    return
                question = query[12 : query.index(b"\0", 12) + 5]
                self.questions.append(question)
                wants_a = question[-4:] == b"\0\1\0\1"
                counts = b"\0\1" + (b"\0\1" if wants_a else b"\0\0") + b"\0\0\0\0"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if wants_a else b""
                self.socket.sendto(query[:2] + b"\x81\x80" + counts + question + record, sender)

    def close(self):
        # By the thread itself, as above.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(5)
        assert not self.thread.is_alive()


def make_certificate(folder):
    """A self-signed certificate for the provider's names in *folder*: its path and its key's."""
    names = f"subjectAltName=DNS:{PROVIDER},DNS:localhost,DNS:example.com,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=loopback", "-addext", names]
    command += ["-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "c.pem", folder / "k.pem"


def serving(certificate):
    """A running provider that shows *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return Provider(context)


def lead_home(monkeypatch):
    """Make every name lead to loopback, below the tripwire; lists what was really looked up."""
    real, seen = socket.getaddrinfo, []

    def getaddrinfo(host, *args, **kwargs):
        if isinstance(host, bytes):
            host = host.decode()
        if host not in {None, "127.0.0.1", "localhost", "::1"}:
            seen.append(host)
            host = "127.0.0.1"
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "gethostbyname", lambda host: seen.append(host) or "127.0.0.1")
    return seen


def without_proxies(monkeypatch):
    """Let no proxy of the machine's own have a say."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
