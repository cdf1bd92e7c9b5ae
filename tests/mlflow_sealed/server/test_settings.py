"""The scoring server's settings: each variable's default, its bounds, and what is invalid."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server import settings
from mlflow_sealed.server.run import supervisor
from mlflow_sealed.server.settings import RETIRED, Settings, StartError, retired
from tests.environ import ROOT, clean_environ

KEY, OTHER = "a-key-of-16-or-more", "another-key-of-16-or-more"

NUMBERS = [
    # variable, attribute, default, least, most
    ("SCORING_MAX_BODY_BYTES", "max_body_bytes", 4 * 2**20, 1, 2**31),
    ("SCORING_MAX_ROWS", "max_rows", 10_000, 1, 10**7),
    ("SCORING_MAX_REQUESTS", "max_requests", 32, 1, 10**4),
    ("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "timeout_s", 60, 1, 3600),
    ("SCORING_INLINE_MS", "inline_ms", 5, 0, 1000),
    ("SCORING_BUSY_POLL_US", "busy_poll_us", 200, 0, 10_000),
    ("SCORING_KEEP_ALIVE_S", "keep_alive_s", 120, 1, 7200),
    ("SCORING_DRAIN_DELAY_S", "drain_delay_s", 0, 0, 20),
    ("SCORING_METRICS", "metrics", 1, 0, 1),
]


@pytest.mark.parametrize(("variable", "attribute", "default"), [row[:3] for row in NUMBERS])
def test_a_variable_that_is_not_set_or_empty_leaves_the_default(
    variable: str, attribute: str, default: int, tmp_path: Path
) -> None:
    for environ in ({}, {variable: ""}):
        assert getattr(Settings.read(environ, cgroup=tmp_path), attribute) == default


@pytest.mark.parametrize(("variable", "attribute", "default", "least", "most"), NUMBERS)
def test_a_variable_is_taken_from_its_least_to_its_most(
    variable: str, attribute: str, default: int, least: int, most: int
) -> None:
    del default
    for value in (least, most):
        assert getattr(Settings.read({variable: str(value)}), attribute) == value
    for value in (least - 1, most + 1):
        with pytest.raises(StartError, match=f"{variable} is '{value}', expected a whole number"):
            Settings.read({variable: str(value)})


@pytest.mark.parametrize("variable", [row[0] for row in NUMBERS])
@pytest.mark.parametrize("value", ["ten", "1.5", "1e3", " 1", "+1", "0x1", "\u0661", "1_0", "true"])
def test_an_invalid_value_is_an_error(variable: str, value: str) -> None:
    with pytest.raises(StartError, match=f"{variable} is .*, expected a whole number from"):
        Settings.read({variable: value})


def test_every_variable_is_in_the_documentation_with_its_default() -> None:
    documentation = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    for variable, _, default, *_ in NUMBERS:
        assert f"| `{variable}` | {default} |" in documentation


def test_every_setting_is_read_from_a_variable(tmp_path: Path) -> None:
    assert asdict(Settings.read({}, cgroup=tmp_path)) == asdict(Settings())
    assert asdict(Settings()).keys() == {row[1] for row in NUMBERS} | {"api_keys", "paths"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"AIP_HEALTH_ROUTE": ""}, {}, id="empty"),
        pytest.param(
            {
                "AIP_PREDICT_ROUTE": "/v1/endpoints/12/deployedModels/34:predict",
                "AIP_HEALTH_ROUTE": "/v1/endpoints/12/deployedModels/34",
            },
            {
                "/v1/endpoints/12/deployedModels/34:predict": "/invocations",
                "/v1/endpoints/12/deployedModels/34": "/ready",
            },
            id="Vertex AI's defaults",
        ),
        pytest.param(
            {"SCORING_PREDICT_PATH": "/v1/models/a:predict", "AIP_PREDICT_ROUTE": "/predict"},
            {"/v1/models/a:predict": "/invocations", "/predict": "/invocations"},
            id="two for one",
        ),
    ],
)
def test_a_path_may_have_further_names(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert Settings.read(environ).paths == expected


@pytest.mark.parametrize("path", ["predict", "/", "/a b", "/a?b", "/a#b", "/ä", "http://a/b"])
@pytest.mark.parametrize("variable", settings.PATHS)
def test_what_is_no_path_is_an_error(variable: str, path: str) -> None:
    with pytest.raises(StartError, match=f"{variable} is '.*', expected a path such as /predict"):
        Settings.read({variable: path})


def test_one_path_cannot_stand_for_two() -> None:
    with pytest.raises(StartError, match="AIP_HEALTH_ROUTE is '/a', which another variable has"):
        Settings.read({"AIP_PREDICT_ROUTE": "/a", "AIP_HEALTH_ROUTE": "/a"})


def test_the_delay_of_the_drain_is_within_the_drain() -> None:
    assert settings.MOST_DRAIN_DELAY_S < supervisor.GRACE_S


def test_no_time_of_a_quota_is_spent_on_staying_awake_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n", encoding="ascii")
    assert Settings.read({}, cgroup=tmp_path).busy_poll_us == 0
    assert Settings.read({"SCORING_BUSY_POLL_US": "50"}, cgroup=tmp_path).busy_poll_us == 50


def test_keys_come_from_the_variable_and_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"\n{OTHER}\n", encoding="utf-8")
    environ = {"SCORING_API_KEYS": f" {KEY} ,", "SCORING_API_KEYS_FILE": str(file)}
    assert Settings.read(environ).api_keys == (KEY.encode(), OTHER.encode())
    assert Settings.read({}).api_keys == ()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "SCORING_API_KEYS is set and has no key: give one"),
        (" , ", "SCORING_API_KEYS is set and has no key: give one"),
        (f"{KEY},short", "SCORING_API_KEYS: key 2 has 5 characters, expected at least 16"),
        ("with a space in the middle", "key 1 has 26 characters, expected .* no space"),
        ("k\xe9y-that-is-long-enough", "expected .* printable ASCII"),
    ],
)
def test_invalid_keys_are_an_error_and_not_shown(keys: str, said: str) -> None:
    with pytest.raises(StartError, match=said) as caught:
        Settings.read({"SCORING_API_KEYS": keys})
    for key in filter(str.strip, keys.split(",")):
        assert key not in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_key_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(StartError, match="SCORING_API_KEYS_FILE is set and has no key"):
        Settings.read({"SCORING_API_KEYS_FILE": str(file)})


@pytest.mark.parametrize(
    ("name", "error"),
    [("absent", "FileNotFoundError"), ("", "IsADirectoryError"), ("binary", "UnicodeDecodeError")],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, error: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match=rf"SCORING_API_KEYS_FILE cannot be read \({error}\)"):
        Settings.read({"SCORING_API_KEYS_FILE": str(tmp_path / name)})


def test_an_empty_path_is_an_error_and_does_not_switch_authentication_off() -> None:
    with pytest.raises(StartError, match="SCORING_API_KEYS_FILE cannot be read"):
        Settings.read({"SCORING_API_KEYS_FILE": ""})


def test_keys_are_not_in_what_is_printed_of_the_settings() -> None:
    assert KEY not in repr(Settings.read({"SCORING_API_KEYS": KEY}))


def test_a_setting_that_is_gone_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RETIRED, "SCORING_OLD", "the server decides that itself")
    assert retired({"SCORING_OLD": "7", "SCORING_MAX_ROWS": "1"}) == [
        "warning: SCORING_OLD is not a setting any more: the server decides that itself"
    ]
    assert retired({"SCORING_MAX_ROWS": "1"}) == []


def test_no_variable_is_a_setting_and_retired() -> None:
    text = Path(settings.__file__).read_text(encoding="utf-8")
    assert [name for name in RETIRED if f'chosen("{name}"' in text] == []


def test_a_server_with_an_invalid_setting_ends_with_one_line_and_its_status(tmp_path: Path) -> None:
    (tmp_path / manifests.MANIFEST).write_text("{}", encoding="utf-8")
    environ = {
        **clean_environ(),
        "PYTHONPATH": str(ROOT),
        "HOST": "127.0.0.1",
        "PORT": str(process.free_port()),
        "SCORING_MAX_ROWS": "many",
    }
    command = [sys.executable, "-m", "mlflow_sealed.server.run", str(tmp_path)]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == supervisor.CANNOT_START
    assert done.stderr == (
        "error: SCORING_MAX_ROWS is 'many', expected a whole number from 1 to 10000000\n"
    )
    assert done.stdout == ""
