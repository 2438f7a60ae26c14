"""Where a redirection may lead: never from the internet into the own network, nor out of https."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from download_server import BODY, Handler, serve

from tsgbench.downloads import connection, fetch, transfer
from tsgbench.errors import UserError


@pytest.fixture
def other(monkeypatch, server) -> Iterator[ThreadingHTTPServer]:
    """A second server, at another address of this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,127.0.0.2")
    with ThreadingHTTPServer(("127.0.0.2", 0), Handler) as running:
        running.plans, running.requests = {"b": [serve(BODY)]}, []
        running.url = f"http://127.0.0.2:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def lead(server, name: str, to: str, body: bytes = b"") -> None:
    server.plans[name] = [lambda handler: handler.answer(302, body, Location=to)]


@pytest.fixture
def first_is_public(monkeypatch):
    """The first server stands for one of the internet."""
    monkeypatch.setattr(connection, "is_local", lambda address: address != "127.0.0.1")


def test_the_internet_does_not_lead_into_the_own_network(
    server, other, get, target, first_is_public
):
    lead(server, "a", f"{other.url}/b")
    with pytest.raises(UserError, match=r"redirects from the internet to 127\.0\.0\.2, an address"):
        get("a")
    assert other.requests == [] and len(server.requests) == 1 and not target.exists()


def test_nor_by_a_second_redirection(server, other, get, first_is_public):
    lead(server, "a", "/again")
    lead(server, "again", f"{other.url}/b")
    with pytest.raises(UserError, match="redirects from the internet to"):
        get("a")
    assert other.requests == []


def test_nor_by_a_name(server, other, get, first_is_public, monkeypatch):
    """Whatever a name meant when it was looked at: what is reached counts."""
    known = HTTPConnection.connect

    def connect(self):
        self.host = "127.0.0.2" if self.host == "innocent.example" else self.host
        known(self)

    monkeypatch.setattr(HTTPConnection, "connect", connect)
    monkeypatch.setenv("no_proxy", "*")
    lead(server, "a", f"http://innocent.example:{other.server_port}/b")
    with pytest.raises(UserError, match=r"redirects from the internet to 127\.0\.0\.2"):
        get("a")
    assert other.requests == []


def test_a_mirror_of_the_own_network_may_lead_within_it(server, other, get, target):
    lead(server, "a", f"{other.url}/b")
    get("a")
    assert target.read_bytes() == BODY


def test_the_own_network_may_lead_to_the_internet(server, other, get, target, monkeypatch):
    monkeypatch.setattr(connection, "is_local", lambda address: address != "127.0.0.2")
    lead(server, "a", f"{other.url}/b")
    get("a")
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost"])
def test_behind_a_proxy_an_address_in_the_link_tells(server, tmp_path, monkeypatch, host):
    """The proxy reaches every host for us, and is itself of the own network."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setattr(transfer, "OPENER", connection.build_opener())
    server.plans["http://upstream.example/a"] = [
        lambda handler: handler.answer(302, b"", Location=f"http://{host}/b")
    ]
    with pytest.raises(UserError, match=f"redirects from the internet to {host}, an address"):
        bring("http://upstream.example/a", tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((address, True) for address in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1")),
        *((address, True) for address in ("169.254.169.254", "::1", "fe80::1%eth0", "fd00::1")),
        *((address, True) for address in ("0.0.0.0", "::ffff:127.0.0.1", "100.64.0.1")),
        *((address, False) for address in ("8.8.8.8", "2001:4860:4860::8888")),
    ],
)
def test_which_addresses_are_of_the_own_network(address, expected):
    assert connection.is_local(address) is expected


@pytest.fixture
def secure(server, tmp_path, monkeypatch) -> str:
    """The address of the server, which speaks https from now on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key.private_bytes(*form) + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setattr(transfer, "OPENER", connection.build_opener())
    return server.url.replace("http:", "https:")


def test_https_leads_to_https(server, secure, tmp_path):
    server.plans["b"] = [serve(BODY)]
    lead(server, "a", "/b")
    bring(f"{secure}/a", tmp_path)
    assert (tmp_path / "data/file.bin").read_bytes() == BODY


@pytest.mark.parametrize("where", ["http://127.0.0.2:1/b", "file:///etc/hostname", "ftp://a/b"])
def test_https_leads_nowhere_else(server, secure, tmp_path, where):
    lead(server, "a", where)
    with pytest.raises(UserError, match=r"redirects from https to|HTTP 302, a redirection that"):
        bring(f"{secure}/a", tmp_path)
    assert len(server.requests) == 1 and not (tmp_path / "data/file.bin").exists()


def bring(address: str, folder: Path) -> None:
    source = {"path": "file.bin", "urls": [address]}
    fetch(source, folder / "data", mirror=None, progress=False, attempts=2, backoff_s=0.001)


def test_a_redirection_with_a_long_body_is_not_read(server, get, target):
    server.plans["b"] = [serve(BODY)]
    lead(server, "a", "/b", body=bytes(1 << 20))
    get("a")
    assert target.read_bytes() == BODY
