"""The manifest in docs/image.md: its numbers add up with the server's own."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from mlflow_sealed import image
from mlflow_sealed.server.run.supervisor import GRACE_S, MARGIN_S
from tests.environ import ROOT

PAGE: Final = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
DOCKERFILE: Final = (Path(image.__path__[0]) / "Dockerfile").read_text(encoding="utf-8")
ENDS_S: Final = GRACE_S + MARGIN_S
"""When the server is gone after SIGTERM, at the latest."""


def manifest() -> dict[str, Any]:
    [found] = re.findall(r"```yaml\n(spec:.*?)```", PAGE, re.DOTALL)
    pod: dict[str, Any] = yaml.safe_load(found)["spec"]
    [container] = pod["containers"]
    return {**container, "grace": pod["terminationGracePeriodSeconds"]}


def failing_s(probe: dict[str, Any]) -> int:
    """How long a probe has to fail before something follows from it."""
    found: int = probe["periodSeconds"] * probe["failureThreshold"]
    return found


def delay_s(container: dict[str, Any]) -> int:
    [one] = container["env"]
    assert one["name"] == "SCORING_DRAIN_DELAY_S"
    return int(one["value"])


def wrong(container: dict[str, Any]) -> list[str]:
    """Return what does not add up."""
    stop_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    rules = {
        "the grace period is shorter than preStop and the drain": (
            container["grace"] >= stop_s + ENDS_S
        ),
        "the port closes before /ready has failed often enough": (
            failing_s(container["readinessProbe"]) <= delay_s(container)
        ),
        "the liveness probe kills a server that drains": (
            delay_s(container) + failing_s(container["livenessProbe"]) >= ENDS_S
        ),
    }
    return [rule for rule, holds in rules.items() if not holds]


def test_the_numbers_of_the_manifest_add_up() -> None:
    assert wrong(manifest()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"grace": 30}, "the grace period"),
        ({"readinessProbe": {"periodSeconds": 10, "failureThreshold": 3}}, "the port closes"),
        ({"livenessProbe": {"periodSeconds": 2, "failureThreshold": 3}}, "the liveness probe"),
    ],
)
def test_control_other_numbers_do_not(change: dict[str, Any], expected: str) -> None:
    [found] = wrong({**manifest(), **change})
    assert found.startswith(expected)


def test_the_table_below_it_has_the_same_numbers() -> None:
    container = manifest()
    stop_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    times = [
        *(stop_s, stop_s + delay_s(container), stop_s + GRACE_S, stop_s + ENDS_S),
        container["grace"],
    ]
    rows = re.findall(r"^\| (\d+) \|", PAGE.split("## On Kubernetes")[1], re.MULTILINE)
    assert rows == [str(time) for time in times]
    assert f"preStop + {ENDS_S}" in PAGE


def test_the_probes_ask_the_paths_that_say_it() -> None:
    container = manifest()
    asked = {"startup": "/ping", "liveness": "/ping", "readiness": "/ready"}
    for name, path in asked.items():
        assert container[f"{name}Probe"]["httpGet"] == {"path": path, "port": 8080}


def test_the_image_has_the_delay_that_the_pages_say() -> None:
    [set_] = re.findall(r"SCORING_DRAIN_DELAY_S=(\d+)", DOCKERFILE)
    assert int(set_) == delay_s(manifest())
    assert f"| `SCORING_DRAIN_DELAY_S` | {set_} |" in PAGE
    serving = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert f"at most 20; the image sets {set_} |" in serving
