"""The networks that a sender delivers from, checked before its scheme: the proof of senders that sign nothing."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..delivery import RequestHead
from ..errors import AddressNotAllowed, ConfigurationError
from .encoding import header_name
from .forwarded import reported
from .scheme import (
    BodyCheck,
    Scheme,
    check_networks,
    complaint,
    covered_headers,
    has_secret,
    proves_id,
    secret_headers,
    secret_members,
    secret_places,
    www_authenticate,
)
from .secrets import Secret

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNIX = "unix"
"""The peer of a Unix socket, which has no address."""
_MAPPED = IPv6Network("::ffff:0:0/96")
_LARGEST = {4: 8, 6: 7}
"""The shortest prefixes of networks that may be proxies' alone, by the version of IP: those of the largest private
networks, 10.0.0.0/8 (RFC 1918) and fc00::/7 (RFC 4193)."""


class AllowFrom:
    """A scheme that takes a delivery from some networks alone, if it proves itself by another scheme, too.

    The address is that of the peer, or what trusted proxies report of it: the header is read from its end, where each
    proxy appends the address that it saw, up to the first address that is no trusted proxy's. What stands before that,
    a stranger may have written. A proxy that hands the header on as it came must not be trusted.

    IPv4 addresses in IPv6 (RFC 4291, section 2.5.5.2) are taken for what they are. A delivery without a known address,
    such as by `receive(...)` without `client=...`, is rejected.

    Args:
        networks: the networks that the sender publishes, such as "203.0.113.0/24", or single addresses.
        scheme: the scheme behind, such as `Unsigned()` or `BasicAuth(...)`.
        trusted_proxies: the networks of the proxies before the receiver; "unix" for one that comes by a Unix socket.
        header: the header in which they report, such as "X-Forwarded-For" or "X-Real-IP", whose values are parted by
            commas; or "Forwarded", which is read as RFC 7239 has it.

    Raises:
        ConfigurationError: there is no network, one is none, a trusted one is too large for proxies, or `scheme` is no
            scheme.
    """

    def __init__(
        self,
        networks: Sequence[str],
        scheme: Scheme,
        *,
        trusted_proxies: Sequence[str] = (),
        header: str = "X-Forwarded-For",
    ) -> None:
        if wrong := complaint(scheme):
            raise ConfigurationError(f"AllowFrom(networks, scheme) {wrong}")
        self.networks = _parsed("networks", networks)
        """The networks."""
        if not self.networks:
            raise ConfigurationError("networks is empty: AllowFrom(...) would let nobody in")
        proxies: object = trusted_proxies
        self._trusts_unix = isinstance(proxies, Sequence) and not isinstance(proxies, str) and UNIX in proxies
        if self._trusts_unix:
            proxies = [each for each in trusted_proxies if each != UNIX]
        self._proxies = _parsed("trusted_proxies", proxies)
        for each in self._proxies:
            if each.prefixlen < _LARGEST[each.version]:
                raise ConfigurationError(
                    f"trusted_proxies has {each}, which holds strangers too, and each of them could write the header: "
                    "name the addresses or the networks of your own proxies"
                )
        self._header = header_name("header", header)
        self._scheme = scheme
        self.secret_count = scheme.secret_count
        self.needs_url = bool(getattr(scheme, "needs_url", False))
        """Whether the scheme behind needs the URL that the sender posts to. See `Scheme`."""
        self.proves_id = proves_id(scheme)
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self.has_networks = True
        """Whether the scheme has networks that it lets in alone. See `Scheme`."""
        self.covered_headers = covered_headers(scheme)
        """The headers that all signatures of the scheme behind cover. See `Scheme`."""
        self.secret_headers = secret_headers(scheme)
        """The headers that hold a secret of the scheme behind. See `Scheme`."""
        self.secret_places = secret_places(scheme)
        """The places in the URL that hold a secret of the scheme behind. See `Scheme`."""
        self.secret_members = secret_members(scheme)
        """The places in the body that hold a secret of the scheme behind. See `Scheme`."""
        self.www_authenticate = www_authenticate(scheme)
        """What a 401 asks for, by the scheme behind. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head as the scheme behind signs it, with the first allowed address as its peer if it has none."""
        signed = self._scheme.sign(head, body, now)
        return signed if signed.client is not None else signed._replace(client=str(self.networks[0].network_address))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery from elsewhere before the scheme behind sees it. See `Scheme.verify`.

        Raises:
            AddressNotAllowed: the address is in none of the networks, or is not known.
        """
        self._check_source(head)
        return self._scheme.verify(head, now)

    def has_secret(self, secret: Secret) -> bool:
        """Return whether a secret is one of the scheme behind. See `Scheme`."""
        return has_secret(self._scheme, secret)

    def check_networks(self, head: RequestHead, now: float) -> None:
        """Reject a request from elsewhere, also than the networks of the scheme behind. See `Scheme`.

        Raises:
            AddressNotAllowed: the address is in none of the networks, or is not known.
        """
        self._check_source(head)
        check_networks(self._scheme, head, now)

    def _check_source(self, head: RequestHead) -> None:
        address = self._source(head)
        if not _is_in(address, self.networks):
            raise AddressNotAllowed(f"it came from {address}, which is in none of the networks of AllowFrom(...)")

    def _source(self, head: RequestHead) -> Address:
        """Return the address of the first peer, from the receiver on, that is no trusted proxy.

        Raises:
            AddressNotAllowed: it is not known.
        """
        address = self._peer(head)
        if address is not None and not _is_in(address, self._proxies):
            return address
        for each in reported(head.headers, self._header):
            address = None if each is None else _reported(each)
            if address is None:
                raise AddressNotAllowed(f"a trusted proxy reports what is no address: {self._header.decode()}")
            if not _is_in(address, self._proxies):
                return address
        if address is None:
            raise AddressNotAllowed(f"it came by a Unix socket without an address: {self._header.decode()}")
        return address

    def _peer(self, head: RequestHead) -> Address | None:
        """Return the address of the peer; None for a trusted one that comes by a Unix socket.

        Raises:
            AddressNotAllowed: it is not known.
        """
        client = head.client or UNIX
        if client.startswith(UNIX):  # servers say nothing, or "unix:" and a path
            if self._trusts_unix:
                return None
            raise AddressNotAllowed(
                "the peer's address is not known: say trusted_proxies=['unix'] for a proxy that comes by a Unix "
                "socket, and without ASGI receive(..., client=...)"
            )
        address = _address(client)
        if address is None:
            raise AddressNotAllowed("the peer's address is none of IP: look at what the server tells as the client")
        return address


def _parsed(argument: str, given: object) -> list[Network]:
    """Return networks, IPv4 in IPv6 as IPv4.

    Raises:
        ConfigurationError: they are no list of networks.
    """
    example = 'a list such as ["203.0.113.0/24", "2001:db8::/32"]'
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ConfigurationError(f"{argument} is {example}, not {given!r}")
    found: list[Network] = []
    for each in given:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(each, str):
            raise ConfigurationError(f"{argument} is {example}, and {each!r} is no text")
        try:
            network = ip_network(each)
        except ValueError as error:
            raise ConfigurationError(f"{argument} is {example}: {error}") from None
        if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
            network = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
        found.append(network)
    return found


def _address(text: str) -> Address | None:
    """Return an address without the zone of a link-local one, IPv4 in IPv6 as IPv4; None for a text that is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _reported(found: str) -> Address | None:
    """Return an address as proxies report it, also with a port: `192.0.2.1:443`, `[2001:db8::1]:443`; None for none."""
    if len(found) > 64:
        return None
    if found.startswith("["):
        found, end, port = found[1:].partition("]")
        return _address(found) if end and ":" in found and (not port or _is_port(port)) else None
    host, colon, port = found.partition(":")
    return _address(host if colon and _is_port(colon + port) else found)


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
