"""The two variables that may hold the feed's credential, and what they turn into."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_sealed.feed import credential
from mlflow_sealed.feed.credential import CredentialError, Index
from tests.environ import ROOT

URL = "https://me:s3cr%2Ft@feed.example:8443/org/pypi/simple/"
INDEX = Index("https://feed.example:8443/org/pypi/simple/", "me", "s3cr/t")


def pip_conf(folder: Path, text: str) -> dict[str, str]:
    path = folder / "pip.conf"
    path.write_text(text, encoding="utf-8")
    return {"PIP_CONFIG_FILE": str(path)}


def test_pip_extra_index_url_is_read() -> None:
    found = credential.read({"PIP_EXTRA_INDEX_URL": URL})
    assert found.feed == INDEX
    assert found.extra == (URL,)


@pytest.mark.parametrize("section", ["global", "install"])
@pytest.mark.parametrize("option", ["extra-index-url", "extra_index_url"])
def test_a_pip_conf_is_read(tmp_path: Path, section: str, option: str) -> None:
    environ = pip_conf(tmp_path, f"[{section}]\n{option} =\n  {URL}\n")
    assert credential.read(environ).feed == INDEX


def test_the_variable_goes_before_the_file_and_both_count(tmp_path: Path) -> None:
    environ = pip_conf(tmp_path, "[global]\nextra-index-url = https://a:b@other.example/\n")
    both = credential.read({**environ, "PIP_EXTRA_INDEX_URL": URL})
    assert both.feed == INDEX
    assert both.extra == (URL, "https://a:b@other.example/")
    mirror = {**environ, "PIP_EXTRA_INDEX_URL": "https://wheels.example/cpu"}
    assert credential.read(mirror).feed == Index("https://other.example/", "a", "b")


def test_a_single_feed_stands_for_the_public_index(tmp_path: Path) -> None:
    found = credential.read(pip_conf(tmp_path, f"[global]\nindex-url = {URL}\n"))
    assert found.feed == INDEX
    environ = credential.environment(found, {})
    assert environ["UV_DEFAULT_INDEX"] == URL
    assert environ["UV_INDEX"] == environ["PIP_EXTRA_INDEX_URL"] == ""


def test_an_ipv6_address_keeps_its_brackets() -> None:
    found = credential.read({"PIP_EXTRA_INDEX_URL": "http://me:s3cret@[::1]:8083/simple/"})
    assert found.feed.url == "http://[::1]:8083/simple/"
    assert found.feed.authenticated_url == "http://me:s3cret@[::1]:8083/simple/"


@pytest.mark.parametrize("set_already", ["", "intern.example"])
def test_a_feed_on_this_machine_is_reached_without_the_proxy(set_already: str) -> None:
    given = {"http_proxy": "http://proxy.example:3128", "no_proxy": set_already}
    local = Index("http://127.0.0.1:8083/simple/", "feed", "s3cret")
    environ = credential.environment(credential.from_index(local), given)
    expected = f"{set_already},127.0.0.1".lstrip(",")
    assert environ["no_proxy"] == environ["NO_PROXY"] == expected
    assert "NO_PROXY" not in credential.environment(credential.from_index(INDEX), given)


def test_nothing_of_a_credential_is_left_where_it_is_removed() -> None:
    environ = credential.environment(credential.from_index(INDEX), {"HOME": "/home/me"})
    assert credential.removed({**environ, "PIP_CONFIG_FILE": "x"}) == {"HOME": "/home/me"}


@pytest.mark.parametrize("form", ["s3cr/t", "s3cr%2Ft", "bWU6czNjci90"])
def test_the_password_is_taken_out_of_a_text_in_every_form(form: str) -> None:
    assert credential.scrub(f"Forbidden: {form}!", INDEX) == "Forbidden: …!"


def test_the_feed_is_the_first_index_with_a_user_name() -> None:
    found = credential.read({"PIP_EXTRA_INDEX_URL": f"https://open.example/simple/ {URL}"})
    assert found.feed == INDEX
    assert found.extra == ("https://open.example/simple/", URL)


@pytest.mark.parametrize(
    "environ", [{}, {"PIP_EXTRA_INDEX_URL": " "}, {"PIP_CONFIG_FILE": "/dev/null"}]
)
def test_a_missing_credential_names_both_variables_and_the_template(
    environ: dict[str, str],
) -> None:
    assert not credential.is_set(environ)
    with pytest.raises(
        CredentialError, match="PIP_CONFIG_FILE.*pip.conf.template.*PIP_EXTRA_INDEX_URL"
    ):
        credential.read(environ)


@pytest.mark.parametrize(
    "url",
    [
        "https://feed.example/simple/",
        "feed.example",
        "file:///s3cret",
        "https://me:s3cret@/simple/",
        "https://me:s3cret@feed.example:port/",
        "https://me:s3cret@[feed/",
    ],
)
def test_an_address_without_a_credential_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(CredentialError, match="expected https://USER:PASSWORD@HOST") as error:
        credential.read({"PIP_EXTRA_INDEX_URL": url})
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("extra-index-url = https://me:s3cret@feed.example/", "not a pip configuration file"),
        (
            "[global\nextra-index-url = https://me:s3cret@feed.example/",
            "not a pip configuration file",
        ),
        ("[global]\ntimeout = 3 # https://me:s3cret@feed.example/", "has no extra-index-url"),
    ],
)
def test_an_unusable_pip_conf_is_named_and_not_quoted(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(CredentialError, match=f"PIP_CONFIG_FILE .*pip.conf.*: {reason}") as error:
        credential.read(pip_conf(tmp_path, text))
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_pip_conf_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"nowhere.conf\): No such file"):
        credential.read({"PIP_CONFIG_FILE": str(tmp_path / "nowhere.conf")})


def test_the_template_itself_is_refused() -> None:
    with pytest.raises(
        CredentialError, match="a placeholder of pip.conf.template is not filled in"
    ):
        credential.read({"PIP_CONFIG_FILE": str(ROOT / credential.TEMPLATE)})


def test_a_rendered_template_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    credential.write_pip_conf(INDEX, path, template=ROOT / credential.TEMPLATE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credential.read({"PIP_CONFIG_FILE": str(path)}).feed == INDEX
    assert [file.name for file in tmp_path.iterdir()] == ["pip.conf"]


def test_pip_itself_reads_a_rendered_template(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    credential.write_pip_conf(INDEX, path, template=ROOT / credential.TEMPLATE)
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.extra-index-url"],
        env={"PIP_CONFIG_FILE": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == URL


def test_pip_reads_every_index_from_what_an_installation_is_given(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    given = credential.Credential(INDEX, (URL, "https://open.example/"), "https://mirror.example/")
    credential.write_install_conf(given, path, cert="/ca.pem")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credential.read({"PIP_CONFIG_FILE": str(path)}) == given
    assert "cert = /ca.pem\n" in path.read_text(encoding="utf-8")


def test_pip_and_uv_are_given_the_index_and_a_users_own_stays_first() -> None:
    found = credential.from_index(INDEX)
    given = {"UV_INDEX": "https://mine.example/simple", "HOME": "/home/me"}
    assert credential.environment(found, given) == {
        "HOME": "/home/me",
        "PIP_EXTRA_INDEX_URL": URL,
        "UV_INDEX": f"https://mine.example/simple {URL}",
    }


def test_no_representation_shows_the_credential() -> None:
    found = credential.read({"PIP_EXTRA_INDEX_URL": URL})
    assert "s3cr" not in f"{found!r} {found} {found.feed!r} {found.feed}"
