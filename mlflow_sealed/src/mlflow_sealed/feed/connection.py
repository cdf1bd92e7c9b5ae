"""How an index is reached: its CA bundle, its proxy, and the hosts that are trusted without TLS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_PROXIES: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


@dataclass(frozen=True)
class Connection:
    """What pip's ``cert``, ``proxy`` and ``trusted-host`` say, for every tool.

    Attributes
    ----------
    cert
        The path of a CA bundle, which stands for the usual one.
    proxy
        A proxy's address; it may have a password in it.
    trusted
        Hosts, with or without a port, whose certificate is not checked.
    """

    cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trusted: tuple[str, ...] = ()

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return a copy of `environ` that says the same to pip, uv and twine, each in its words.

        What the user has set for uv or for all programs stays. A proxy that pip alone was told of
        is not used for the tracking server.
        """
        found = dict(environ)
        if self.cert:
            for name in ("PIP_CERT", "SSL_CERT_FILE", "TWINE_CERT"):
                found[name] = found.get(name) or self.cert
        if self.trusted:
            hosts = " ".join(self.trusted)
            found["PIP_TRUSTED_HOST"] = hosts
            found["UV_INSECURE_HOST"] = found.get("UV_INSECURE_HOST") or hosts
        if self.proxy:
            found["PIP_PROXY"] = self.proxy
            if not any(environ.get(name) for name in (*_PROXIES, "all_proxy", "ALL_PROXY")):
                found |= dict.fromkeys(_PROXIES, self.proxy)
                tracking = urlsplit(environ.get("MLFLOW_TRACKING_URI", "")).hostname
                found = _direct(found, tracking) if tracking else found
        return found

    def trusts(self, url: str) -> bool:
        """Return whether the certificate of the host of `url` is not to be checked."""
        found = urlsplit(url)
        return found.hostname in self.trusted or found.netloc.rpartition("@")[2] in self.trusted


def is_local(url: str) -> bool:
    """Return whether an address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def without_proxy(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` in which `url` is reached directly if it is on this machine."""
    return _direct(environ, urlsplit(url).hostname or "") if is_local(url) else dict(environ)


def _direct(environ: Mapping[str, str], host: str) -> dict[str, str]:
    hosts = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    direct = hosts if host in hosts.split(",") else f"{hosts},{host}".lstrip(",")
    return {**environ, "NO_PROXY": direct, "no_proxy": direct}
