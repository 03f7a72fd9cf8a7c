"""Checks of TLS and HTTPS: what certificates are, and what is wrong with them."""

import datetime
import ssl
import time
import warnings

import pytest

trustme = pytest.importorskip("trustme", reason="makes the certificates")
pytest.importorskip("httptools", reason="checks need the extra `monitor`")

import gevent.ssl  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from faulty import Site, deaf, moved, page, serving, silent  # noqa: E402

from safepatch.monitor.checks import certificates  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_hub")

NOW = datetime.datetime.now(datetime.UTC)


def days(number):
    return NOW + datetime.timedelta(days=number)


@pytest.fixture(scope="module")
def ca():
    return trustme.CA(organization_name="Trusty")


@pytest.fixture(scope="module")
def trusted(ca, tmp_path_factory):
    """A file with the certificate of the authority."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return str(file)


def context(certificate):
    made = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # whose sockets wait in the hub
    certificate.configure_cert(made)
    return made


def shop(port):
    return f"https://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def good(ca):
    return context(ca.issue_cert("127.0.0.1", "localhost", organization_name="Shop"))


def test_a_certificate_that_is_trusted_is_up_and_its_facts_are_seen(checked, good, trusted):
    with serving(Site(otherwise=page()), tls=good) as port:
        result = checked(shop(port), ca=trusted)

    assert (result.error, result.message, result.warnings) == ("", "", ())
    assert list(result.phases) == ["dns", "connect", "tls", "first_byte", "total"]
    certificate = result.facts["certificate"]
    assert certificate == {
        "subject": "Shop",
        "issuer": "Trusty",
        "names": ["localhost", "127.0.0.1"],
        "begins": certificate["begins"],
        "expires": certificate["expires"],
        "fingerprint": certificate["fingerprint"],
        "chain": [],
    }
    assert certificate["begins"] < time.time() < certificate["expires"]
    assert len(bytes.fromhex(certificate["fingerprint"])) == 32


def test_tls_alone_is_checked_as_well(checked, good, trusted):
    with serving(silent, tls=good) as port:
        result = checked(f"tls://127.0.0.1:{port}", ca=trusted)

    assert result.error == ""
    assert list(result.phases) == ["dns", "connect", "tls", "total"]
    assert result.facts["tls"] in ("TLSv1.2", "TLSv1.3")
    assert result.facts["certificate"]["subject"] == "Shop"


def test_what_a_server_says_first_can_be_looked_at(checked, good, trusted):
    def greet(sock, address):
        sock.sendall(b"* OK ready\r\n")

    with serving(greet, tls=good) as port, serving(greet) as plain:
        for address in (f"tls://127.0.0.1:{port}", f"tcp://127.0.0.1:{plain}"):
            assert checked(address, ca=trusted, contains=["* OK"]).facts["banner"] == "* OK ready"
            assert checked(address, ca=trusted, contains=["220"]).error == "content"


# What is wrong with certificates.

TROUBLE = {
    "expired": (
        {"not_before": days(-90), "not_after": days(-10)},
        "127.0.0.1",
        "its certificate for Shop, issued by Trusty, expired on "
        f"{days(-10):%Y-%m-%d %H:%M} UTC, 10 days ago",
    ),
    "yet to come": (
        {"not_before": days(10), "not_after": days(90)},
        "127.0.0.1",
        "its certificate for Shop, issued by Trusty, is not valid before "
        f"{days(10):%Y-%m-%d %H:%M} UTC",
    ),
    "another name": (
        {},
        "a.test",
        "its certificate, issued by Trusty, is for a.test, not for 127.0.0.1",
    ),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_what_is_wrong_with_a_certificate_is_told_with_its_facts(checked, ca, trusted, what):
    dates, name, message = TROUBLE[what]
    server = context(ca.issue_cert(name, organization_name="Shop", **dates))
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), ca=trusted)

    assert (result.error, result.message) == ("certificate", message)
    assert result.facts["certificate"]["names"] == [name]
    assert result.facts["certificate"]["issuer"] == "Trusty"


def test_a_certificate_of_nobody_who_is_trusted_is_down(checked, good):
    with serving(Site(otherwise=page()), tls=good) as port:
        result = checked(shop(port))

    assert (result.error, result.message) == (
        "certificate",
        "its certificate for Shop, issued by Trusty, cannot be traced to anybody who is trusted, "
        "and the server sends no certificates between",
    )
    assert result.facts["certificate"]["subject"] == "Shop"


def test_a_certificate_that_is_signed_by_itself_is_down(checked, tmp_path):
    server = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lonely = trustme.CA(organization_name="Lonely")
    file = tmp_path / "lonely.pem"
    file.write_bytes(lonely.private_key_pem.bytes() + lonely.cert_pem.bytes())
    server.load_cert_chain(file)
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port))

    assert (result.error, result.message) == (
        "certificate",
        "its certificate for Lonely is signed by itself; to trust it, give it as ca",
    )


def test_a_long_list_of_other_names_is_cut(checked, ca, trusted):
    server = context(ca.issue_cert(*[f"{n}.test" for n in range(100)]))
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), ca=trusted)

    assert "is for 0.test, 1.test, 2.test and 97 more, not for 127.0.0.1" in result.message


def test_one_more_handshake_finds_the_facts_where_openssl_does_not_tell(checked, good, monkeypatch):
    """Before 3.0 it forgets a certificate that it does not trust."""
    sent = certificates._sent
    monkeypatch.setattr(certificates, "_sent", lambda tls: sent(tls) if tls.version() else [])
    tls_version = ssl.SSLObject.version
    handshakes = []

    def version(tls):
        try:
            tls.getpeercert(True)
        except ValueError:
            handshakes.append("failed")
            return None
        return tls_version(tls)

    monkeypatch.setattr(ssl.SSLObject, "version", version)
    with serving(Site(otherwise=page()), tls=good) as port:
        result = checked(shop(port))

    assert result.error == "certificate"
    assert result.facts["certificate"]["subject"] == "Shop"
    assert handshakes == ["failed"]


def test_unverified_certificates_are_seen_all_the_same(checked, ca):
    server = context(ca.issue_cert("a.test", organization_name="Shop", not_after=days(-1)))
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), verify=False)

    assert result.ok
    assert result.facts["certificate"]["subject"] == "Shop"
    assert result.warnings[0].startswith("its certificate for Shop expired on ")


def odd_certificates():
    """Certificates that OpenSSL takes, and that are not as they are to be."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])

    def made(*extensions):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        builder = builder.not_valid_before(days(-1)).not_valid_after(days(1))
        for oid, value in extensions:
            odd = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(odd, critical=False)
        signed = builder.public_key(key.public_key()).sign(key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)

    twice = made(("2.5.29.98", b"\5\0"), ("2.5.29.99", b"\5\0"))
    yield twice.replace(b"\x55\x1d\x62", b"\x55\x1d\x63")
    yield made().replace(b"\xa0\3\2\1\2", b"\xa0\3\2\1\7", 1)  # of version 8
    yield made(("2.5.29.17", b"\x30\5\xa3\3\2\1\1"))  # a name of X.400


@pytest.mark.parametrize("number", range(3))
def test_a_certificate_that_is_odd_is_no_mistake_of_ours(number):
    facts = certificates.parsed([*odd_certificates()][number])

    assert len(facts["fingerprint"]) == 64
    assert not facts.get("names")


# Warnings.


def test_a_certificate_that_expires_soon_is_warned_of(checked, ca, trusted):
    server = context(ca.issue_cert("127.0.0.1", organization_name="Shop", not_after=days(10)))
    with serving(Site(otherwise=page()), tls=server) as port:
        soon = checked(shop(port), ca=trusted)
        later = checked(shop(port), ca=trusted, expires_within=86400)

    assert soon.ok
    assert soon.warnings == (
        f"its certificate for Shop expires on {days(10):%Y-%m-%d %H:%M} UTC, in 10 days",
    )
    assert later.warnings == ()


def test_a_chain_is_told_with_who_signed(checked, ca, trusted):
    between = ca.create_child_ca()
    server = context(between.issue_cert("127.0.0.1"))
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), ca=trusted)

    assert result.ok
    certificate = result.facts["certificate"]
    assert [each["name"] for each in certificate["chain"]] == [certificate["issuer"]]
    assert certificate["chain"][0]["expires"] > time.time()


def test_certificates_are_read_once_each(checked, good, trusted, monkeypatch):
    read = []
    parsed = certificates.parsed
    monkeypatch.setattr(certificates, "parsed", lambda der: read.append(1) or parsed(der))
    with serving(Site(otherwise=page()), tls=good) as port:
        facts = [checked(shop(port), ca=trusted).facts["certificate"] for _ in range(2)]

    assert facts[0] == facts[1]
    assert read == [1]


@pytest.mark.parametrize("verify", [True, False])
def test_certificates_that_anybody_can_make_are_not_kept(checked, tools, ca, verify):
    """One site could show another one each time, with 100 names, until memory is full."""
    server = context(ca.issue_cert("a.test"))
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), verify=verify)

    assert result.facts["certificate"]["names"] == ["a.test"]
    assert not tools.certificates


def test_what_is_kept_of_a_certificate_is_small(checked, tools, good, trusted):
    """There may be 50,000 of them."""
    with serving(Site(otherwise=page()), tls=good) as port:
        checked(shop(port), ca=trusted)

    ((key, kept),) = tools.certificates.items()
    assert len(key) + len(kept) < 300


# Handshakes.


def test_the_server_learns_how_a_handshake_ended(checked, good, trusted):
    ends = []

    def shake(sock, address):
        with good.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as tls:
            try:
                tls.do_handshake()
                ends.append("done")
            except ssl.SSLError as error:
                ends.append(error.reason)

    with serving(shake) as port:
        assert checked(f"tls://127.0.0.1:{port}", ca=trusted).ok
        assert checked(f"tls://127.0.0.1:{port}").error == "certificate"
        gevent.sleep(0.02)

    assert ends == ["done", "TLSV1_ALERT_UNKNOWN_CA"]


def test_a_client_certificate_is_shown_to_who_asks_for_it(checked, ca, trusted, tmp_path):
    ours = ca.issue_cert("me@example.test")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(ours.cert_chain_pems[0].bytes())
    key.write_bytes(ours.private_key_pem.bytes())
    server = context(ca.issue_cert("127.0.0.1"))
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    with serving(Site(otherwise=page()), tls=server) as port:
        shown = checked(shop(port), ca=trusted, certificate=str(certificate), key=str(key))
        missing = checked(shop(port), ca=trusted)

    assert shown.ok
    assert missing.error == "tls"
    assert "certificate required" in missing.message


def test_our_certificate_is_not_shown_to_hosts_that_are_redirected_to(
    checked, ca, trusted, tmp_path
):
    file = tmp_path / "ours.pem"
    ca.issue_cert("me@example.test").private_key_and_cert_chain_pem.write_to_path(str(file))
    server = context(ca.issue_cert("127.0.0.1"))
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_OPTIONAL
    seen = []

    def note(sock, address):
        seen.append(sock.getpeercert())
        Site(otherwise=page())(sock, address)

    with serving(note, tls=server) as there:
        with serving(Site(otherwise=moved(shop(there))), tls=server) as here:
            assert checked(shop(here), ca=trusted, certificate=str(file), private=["127.0.0.1"]).ok
        assert checked(shop(there), ca=trusted, certificate=str(file)).ok

    first, second = seen
    assert not first
    assert second


def test_the_name_that_is_asked_for_can_be_another(checked, ca, trusted):
    server = context(ca.issue_cert("shop.test"))
    names = []
    server.sni_callback = lambda tls, name, context: names.append(name)
    with serving(Site(otherwise=page()), tls=server) as port:
        result = checked(shop(port), ca=trusted, server_name="shop.test")

    assert result.ok
    assert names == ["shop.test"]


def test_http_1_1_is_what_is_asked_for(checked, ca, trusted):
    server = context(ca.issue_cert("127.0.0.1"))
    server.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []

    def note(sock, address):
        chosen.append(sock.selected_alpn_protocol())
        Site(otherwise=page())(sock, address)

    with serving(note, tls=server) as port:
        assert checked(shop(port), ca=trusted).ok
    assert chosen == ["http/1.1"]


def test_what_does_not_speak_tls_is_told_as_such(checked):
    def talk(sock, address):
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(talk) as port:
        result = checked(shop(port))

    assert (result.error, result.message) == (
        "tls",
        "127.0.0.1: what answers there does not speak TLS",
    )


def test_an_old_version_of_tls_is_told_as_such(checked, ca, trusted):
    server = context(ca.issue_cert("127.0.0.1"))
    server.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        server.minimum_version = ssl.TLSVersion.TLSv1
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(silent, tls=server) as port:
        result = checked(f"tls://127.0.0.1:{port}", ca=trusted)

    assert (result.error, result.message) == (
        "tls",
        "127.0.0.1: it speaks no TLS 1.2 or newer",
    )


def test_a_handshake_that_ends_early_is_told_as_such(checked):
    with serving(lambda sock, address: sock.recv(65536)) as port:
        result = checked(shop(port))

    assert (result.error, result.message) == (
        "tls",
        "127.0.0.1: the connection ended during the TLS handshake",
    )


def test_a_handshake_that_takes_too_long_says_so(checked):
    with serving(silent) as port:
        result = checked(shop(port), timeout=0.1)

    assert result.error == "timeout"
    assert "within 0.1 s: waiting for the TLS handshake (dns took " in result.message


def test_an_answer_that_ends_without_a_goodbye_is_an_answer(checked, good, trusted):
    def abrupt(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nall")
        sock.unwrap = lambda: None
        gevent.sleep(0.01)
        sock._sock.close()

    with serving(Site(otherwise=abrupt), tls=good) as port:
        assert checked(shop(port), ca=trusted, contains=["all"]).error == ""


def test_from_https_to_http_is_followed_with_a_warning(checked, good, trusted):
    plain = Site(otherwise=page())
    with serving(plain) as there:
        location = f"http://127.0.0.1:{there}/"
        with serving(Site(otherwise=moved(location)), tls=good) as here:
            result = checked(shop(here), ca=trusted, private=["127.0.0.1"])

    assert result.ok
    assert result.warnings == (f"{shop(here)} redirects to {location}, without TLS",)


# Contexts, which cost more than all the rest.


def test_one_context_is_made_for_all_who_say_the_same(tools, trusted, monkeypatch):
    from safepatch.monitor.plan import Options

    made = []
    create = ssl.create_default_context
    monkeypatch.setattr(
        ssl, "create_default_context", lambda **options: made.append(1) or create(**options)
    )
    contexts = {tools.context(Options(ca=trusted, timeout=n)) for n in range(1, 5)}
    assert len(contexts) == len(made) == 1

    others = {tools.context(Options(ca=trusted, verify=False)), tools.context(Options())}
    assert len(contexts | others) == len(made) == 3


def test_a_file_that_changed_is_read_anew(tools, ca, tmp_path):
    from safepatch.monitor.plan import Options

    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    first = tools.context(Options(ca=str(file)))
    trustme.CA().cert_pem.write_to_path(str(file), append=True)
    second = tools.context(Options(ca=str(file)))

    assert first is not second
    assert second is tools.context(Options(ca=str(file)))
    assert len(second.get_ca_certs()) == 2


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_of_certificates_that_cannot_be_used_is_our_mistake(checked, tmp_path, text):
    file = tmp_path / "ca.pem"
    if text:
        file.write_text(text)
    with deaf() as port:
        result = checked(f"tls://127.0.0.1:{port}", ca=str(file))

    assert result.error == "internal"
    assert result.message.startswith(f"cannot use the certificates of {file}: ")
