"""Fedgate as machines of their own: edges and a gateway, each a process, joined by the link."""
from .certificates import Authority
from .fedgate import Fedgate
from .process import wait_until

EDGES = "edge1.int.example", "edge2.int.example"
GATEWAY = "gw1.int.example"


class Role(Fedgate):
    """One of the processes. name: by which the others know it; authority: the link's."""

    def __init__(self, role, name, authority, *arguments):
        *common, keys = arguments
        super().__init__(*common, dict(keys))
        self.role, self.name = role, name
        self.use(authority, authority)

    def take(self, address):
        self.address, self.sip = address, (address, 5060)
        self.sip_listen = f"udp:{address}:5060 tcp:{address}:5060"
        self.keys["admin.http.listen"] = ""      # the one there is another's

    def use(self, issuer, trusted):
        """Certificate and root for the link, which a running process reads again."""
        own = self.issued = issuer.issue(self.name)
        self.directory.mkdir(parents=True, exist_ok=True)
        for leaf, source in (("ca", trusted.certificate), ("key", own.key), ("certificate", own.certificate)):
            path = self.directory / f"internal.{leaf}"
            path.with_suffix(".new").write_bytes(source.read_bytes())
            path.with_suffix(".new").replace(path)
            self.keys[f"tls.internal.{leaf}"] = path

    async def counter(self, name):
        return int((await self.control("counters")).split(name)[1].split()[0])

    def log(self):
        return self.process.log.read_text()

    def lines(self):
        yield f"core.roles = {self.role}"
        yield f"pool/edges/members = {' '.join(EDGES)}"
        yield "pool/gateways/kind = gateway"
        yield f"pool/gateways/members = {GATEWAY}"
        yield from super().lines()

    def ports(self):
        return (5269, 23456) if self.role == "edge" else (5060,)


class SplitFedgate:
    """Looks like one Fedgate to the rest of a test; its keys are everybody's."""

    def __init__(self, directory, *arguments):
        *common, keys = arguments
        self.authority = Authority(directory.parent / "internal", "internal CA")
        self.edges = [Role("edge", name, self.authority, directory.with_name(name.split(".")[0]), *common, keys)
                      for name in EDGES]
        self.gateway = Role("gateway", GATEWAY, self.authority, directory, *common, keys)
        self.address = self.edges[0].address     # one for both sides, on which each has its ports
        self.gateway.take(self.address)
        self.sip = self.gateway.sip

    @property
    def all(self):
        return [*self.edges, self.gateway]

    @property
    def process(self):
        return self.gateway.process

    @property
    def control(self):
        return self.gateway.control

    def records(self, domain):
        """What leads to the edges from within; and partners to the second one, behind the first."""
        return [f"{edge.name}. IN A {edge.address}" for edge in self.edges] + [
            f"_xmpp-server._tcp.{domain}. IN SRV 10 0 5269 {self.edges[1].name}."]

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name in ("dns", "domains"):
            for one in self.all:
                setattr(one, name, value)

    async def start(self):
        for one in self.all:
            await one.start()
        await wait_until(self.is_joined, "all links")
        return self

    async def is_joined(self):
        """Each of the gateway's cores with each edge."""
        return await self.gateway.counter("link.standing") == len(self.edges) * self.gateway.keys["core.threads"]

    async def stop(self):
        for one in reversed(self.all):
            if one.process.is_alive:
                await one.stop()

    async def kill(self):
        for one in self.all:
            await one.kill()


class JoinedFedgate(SplitFedgate):
    """Machines that are edge and gateway each, and know each other."""

    NAMES = "node1.int.example", "node2.int.example"

    def __init__(self, directory, *arguments):
        *common, keys = arguments
        self.authority = Authority(directory.parent / "internal", "internal CA")
        everybody = " ".join(self.NAMES)
        self.nodes = [Role("edge,gateway", name, self.authority, directory.with_name(name.split(".")[0]), *common,
                           {**keys, "core.node": name, "pool/edges/members": everybody,
                            "pool/gateways/members": everybody}) for name in self.NAMES]
        self.gateway, *self.edges = self.nodes
        self.address, self.sip = self.gateway.address, self.gateway.sip

    def records(self, domain):
        return [f"{node.name}. IN A {node.address}" for node in self.nodes] + [
            f"_xmpp-server._tcp.{domain}. IN SRV 10 0 5269 {self.nodes[1].name}."]

    async def is_joined(self):
        """Each core of each with each, and its own end of that."""
        for node in self.nodes:
            if await node.counter("link.standing") != 2 * len(self.nodes) * node.keys["core.threads"]:
                return False
        return True
