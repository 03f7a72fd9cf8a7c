"""A DNS server on loopback, in the test's own hub, that can be told to fail."""

import contextlib
from collections import Counter

import dnslib
import gevent
from gevent.server import DatagramServer


class Nameserver:
    """Answers for `hosts` (name -> addresses, IPv4 or IPv6); others do not exist.

    `fails` is "" or "servfail", "refused" or "silent"; `ttl` is that of its records; `queries`
    counts questions by host. Those in `slow` are answered after so many seconds.
    """

    def __init__(self, hosts=None, ttl=0):
        self.hosts = dict(hosts or {})
        self.ttl = ttl
        self.fails = ""
        self.slow = {}
        self.queries = Counter()

    def answer(self, data):
        request = dnslib.DNSRecord.parse(data)
        name = str(request.q.qname).rstrip(".").lower()
        kind = dnslib.QTYPE[request.q.qtype]
        self.queries[name] += kind == "A"
        gevent.sleep(self.slow.get(name, 0))
        reply = request.reply()
        if self.fails == "silent":
            return None
        if self.fails:
            reply.header.rcode = getattr(dnslib.RCODE, self.fails.upper())
            return reply.pack()
        if name not in self.hosts:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        for address in self.hosts.get(name, ()):
            if (":" in address) == (kind == "AAAA"):
                data = (dnslib.AAAA if ":" in address else dnslib.A)(address)
                rr = dnslib.RR(request.q.qname, request.q.qtype, rdata=data, ttl=self.ttl)
                reply.add_answer(rr)
        if not reply.rr:
            # "No data" as in RFC 2308, 2.2: c-ares keeps one without the NS record for an hour.
            reply.add_auth(dnslib.RR("test.", dnslib.QTYPE.SOA, rdata=dnslib.SOA(), ttl=self.ttl))
            reply.add_auth(
                dnslib.RR("test.", dnslib.QTYPE.NS, rdata=dnslib.NS("ns.test."), ttl=self.ttl)
            )
        return reply.pack()


@contextlib.contextmanager
def naming(nameserver):
    """Run a nameserver; gives its address for `dns_servers`."""

    def handle(data, peer):
        reply = nameserver.answer(data)
        if reply is not None:
            server.sendto(reply, peer)

    server = DatagramServer(("127.0.0.1", 0), handle)
    server.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)
