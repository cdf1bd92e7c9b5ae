"""The scoring server's settings, each from one environment variable."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

KEY_LENGTH: Final = 16
"""The fewest characters of an API key."""

_PATH: Final = re.compile(r"/[\w.~:@!$&'()*+,;=/-]+", re.ASCII)

RETIRED: Final[dict[str, str]] = {}
"""Variables that earlier versions read, and what to do instead: they only give a warning."""

MOST_DRAIN_DELAY_S: Final = 20
"""The longest `Settings.drain_delay_s`: what is accepted last has 5 of the drain's 25 s left."""

PATHS: Final = {
    "SCORING_PREDICT_PATH": "/invocations",
    "AIP_PREDICT_ROUTE": "/invocations",
    "AIP_HEALTH_ROUTE": "/ready",
}
"""Variables that give a path one more name. Vertex AI sets those that begin with AIP."""

CGROUP: Final = Path("/sys/fs/cgroup")
"""Where the kernel says how much processor time a container may use."""


class StartError(Exception):
    """The server cannot start; the message is one line that says why."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The limits of one worker, and who may use it.

    Attributes
    ----------
    max_body_bytes
        SCORING_MAX_BODY_BYTES: the largest body of a request; a larger one gets a 413.
    max_rows
        SCORING_MAX_ROWS: the most rows in a request; more get a 413.
    max_requests
        SCORING_MAX_REQUESTS: the most requests that wait for a worker's subprocess or run in it;
        one more gets a 503.
    timeout_s
        MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT, in seconds, as in MLflow's own server: a request that
        has not arrived by then gets a 408, one without a result a 504.
    inline_ms
        SCORING_INLINE_MS, in milliseconds: a small request is scored in the event loop if the model
        takes less than this for one; 0 has every request scored in the subprocess.
    busy_poll_us
        SCORING_BUSY_POLL_US, in microseconds: while requests to a quick model follow one another
        this closely, the event loop does not sleep between them. 0 lets it always sleep; that is
        the default if the container's processor time has a quota.
    keep_alive_s
        SCORING_KEEP_ALIVE_S, in seconds: a connection stays open this long without a request. More
        than the 60 s of common proxies (AWS's load balancer, nginx), because a request that they
        send while it closes is lost; less than the 240 s after which Azure's load balancer drops it
        silently.
    drain_delay_s
        SCORING_DRAIN_DELAY_S, in seconds: new connections are still taken this long after SIGTERM,
        while /ready says 503.
    metrics
        SCORING_METRICS: 1 or 0, whether requests are counted for /metrics.
    api_keys
        SCORING_API_KEYS (separated by commas) and the lines of the file SCORING_API_KEYS_FILE: one
        of them is needed for /invocations and /metrics. If there are none, none is needed.
    paths
        Further paths by their variables (see `PATHS`): what each stands for.
    """

    max_body_bytes: int = 4 * 2**20
    max_rows: int = 10_000
    max_requests: int = 32
    timeout_s: int = 60
    inline_ms: int = 5
    busy_poll_us: int = 200
    keep_alive_s: int = 120
    drain_delay_s: int = 0
    metrics: bool = True
    api_keys: tuple[bytes, ...] = field(default=(), repr=False)
    paths: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ, *, cgroup: Path = CGROUP) -> "Settings":
        """Return the settings from the environment, with defaults for what is not set.

        Raises
        ------
        mlflow_sealed.server.settings.StartError
            If a variable has an invalid value; no message shows a key.
        """

        def chosen(name: str, default: int, *, least: int = 1, most: int) -> int:
            found = number(environ, name, least=least, most=most)
            return default if found is None else found

        return cls(
            max_body_bytes=chosen("SCORING_MAX_BODY_BYTES", cls.max_body_bytes, most=2**31),
            max_rows=chosen("SCORING_MAX_ROWS", cls.max_rows, most=10**7),
            max_requests=chosen("SCORING_MAX_REQUESTS", cls.max_requests, most=10**4),
            timeout_s=chosen("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", cls.timeout_s, most=3600),
            inline_ms=chosen("SCORING_INLINE_MS", cls.inline_ms, least=0, most=1000),
            busy_poll_us=chosen(
                "SCORING_BUSY_POLL_US",
                0 if cpu_quota(cgroup) else cls.busy_poll_us,
                least=0,
                most=10_000,
            ),
            keep_alive_s=chosen("SCORING_KEEP_ALIVE_S", cls.keep_alive_s, most=7200),
            drain_delay_s=chosen(
                "SCORING_DRAIN_DELAY_S", cls.drain_delay_s, least=0, most=MOST_DRAIN_DELAY_S
            ),
            metrics=bool(chosen("SCORING_METRICS", 1, least=0, most=1)),
            api_keys=_api_keys(environ),
            paths=_paths(environ),
        )


def retired(environ: Mapping[str, str]) -> list[str]:
    """Return a warning, one line, for each variable of `RETIRED` that is set."""
    return [
        f"warning: {name} is not a setting any more: {advice}"
        for name, advice in RETIRED.items()
        if name in environ
    ]


def workers_asked_for(environ: Mapping[str, str]) -> int | None:
    """Return MLFLOW_MODELS_WORKERS, None if it is not set.

    Raises
    ------
    StartError
        If the variable is not a whole number from 1 to 1024.
    """
    return number(environ, "MLFLOW_MODELS_WORKERS", most=1024)


def number(environ: Mapping[str, str], name: str, *, least: int = 1, most: int) -> int | None:
    """Return a variable as a whole number, None if it is not set or empty.

    Raises
    ------
    StartError
        If it is not a whole number from `least` to `most`.
    """
    text = environ.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise StartError(f"{name} is {text!r}, expected a whole number from {least} to {most}")
    return int(text)


def cpus(cgroup: Path = CGROUP) -> int:
    """Return how many CPUs this container may use, by its quota and affinity; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota(cgroup)
    return max(1, min(allowed, math.ceil(quota))) if quota else allowed


def cpu_quota(cgroup: Path = CGROUP) -> float | None:
    """Return this container's quota of processor time in CPUs, None if it has none."""
    try:
        if (version_2 := cgroup / "cpu.max").exists():
            quota, period = version_2.read_text(encoding="ascii").split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text(encoding="ascii")
    except OSError:
        return None
    return None if quota.strip() in {"max", "-1"} else int(quota) / int(period)


def _paths(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what each further path stands for."""
    found: dict[str, str] = {}
    for name, path in PATHS.items():
        given = environ.get(name)
        if not given:
            continue
        if not _PATH.fullmatch(given):
            raise StartError(f"{name} is {given!r}, expected a path such as /predict")
        if found.setdefault(given, path) != path:
            raise StartError(f"{name} is {given!r}, which another variable has for {found[given]}")
    return found


def _api_keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    keys: list[str] = []
    if (listed := environ.get("SCORING_API_KEYS")) is not None:
        keys += _checked("SCORING_API_KEYS", listed.split(","))
    if (path := environ.get("SCORING_API_KEYS_FILE")) is not None:
        # An empty value is an error: it must not switch authentication off.
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(
                f"SCORING_API_KEYS_FILE cannot be read ({type(error).__name__}): give the path of "
                "a text file with one key a line"
            ) from None
        keys += _checked("SCORING_API_KEYS_FILE", text.splitlines())
    return tuple(key.encode() for key in keys)


def _checked(name: str, keys: list[str]) -> list[str]:
    """Return the keys without spaces around them; a variable that is set must have one."""
    found = [key.strip() for key in keys if key.strip()]
    if not found:
        raise StartError(f"{name} is set and has no key: give one, or do not set it")
    for position, key in enumerate(found, start=1):
        if len(key) < KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise StartError(
                f"{name}: key {position} has {len(key)} characters, expected at least "
                f"{KEY_LENGTH}, printable ASCII and no space; `openssl rand -hex 24` makes one"
            )
    return found
