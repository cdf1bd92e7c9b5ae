"""The two variables that may hold the feed's credential, and what they turn into."""

import stat
import subprocess
import sys
from dataclasses import replace
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
def test_a_missing_credential_names_the_variables_and_the_template(
    environ: dict[str, str],
) -> None:
    assert not credential.is_set(environ)
    with pytest.raises(
        CredentialError,
        match="PIP_CONFIG_FILE.*pip.conf.template.*PIP_EXTRA_INDEX_URL.*PIP_INDEX_URL.*doctor",
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
    found = credential.read({"PIP_CONFIG_FILE": str(path)})
    assert found.feed == INDEX
    assert set(found.urls) == set(given.urls)
    assert found.connection.cert == "/ca.pem"


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


MIRROR = "https://mirror.example/simple/"
"""A mirror of the public index, which asks for no login."""


def test_a_single_feed_may_be_in_the_variable_of_pip_authenticate() -> None:
    found = credential.read({"PIP_INDEX_URL": URL})
    assert found.feed == INDEX
    assert found.single
    environ = credential.environment(found, {"PIP_INDEX_URL": URL})
    assert environ["PIP_INDEX_URL"] == environ["UV_DEFAULT_INDEX"] == URL
    assert environ["UV_INDEX"] == environ["PIP_EXTRA_INDEX_URL"] == ""


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_a_mirror_stands_for_the_public_index_for_every_tool(name: str) -> None:
    given = {name: MIRROR}
    assert not credential.is_set(given)
    for found in (
        credential.read({**given, "PIP_EXTRA_INDEX_URL": URL}),
        credential.from_index(INDEX, given),
    ):
        environ = credential.environment(found, given)
        assert environ["PIP_INDEX_URL"] == environ["UV_DEFAULT_INDEX"] == MIRROR
        assert environ["PIP_EXTRA_INDEX_URL"] == URL


def test_a_mirror_alone_is_no_feed_and_the_line_says_what_is_missing() -> None:
    assert credential.find({"PIP_INDEX_URL": MIRROR}) is None
    with pytest.raises(CredentialError, match="PIP_INDEX_URL: expected https://USER:PASSWORD@HOST"):
        credential.read({"PIP_INDEX_URL": MIRROR})


def test_a_variable_goes_before_the_file_for_what_stands_for_the_public_index(
    tmp_path: Path,
) -> None:
    environ = pip_conf(tmp_path, f"[global]\nindex-url = {MIRROR}\n[install]\nindex-url = {URL}\n")
    assert credential.read(environ).default == URL
    chosen = {**environ, "PIP_INDEX_URL": "https://a:b@other.example/"}
    assert credential.read(chosen).default == "https://a:b@other.example/"


SETTINGS = """[global]
cert = /ca.pem
proxy = http://me:s3cret@proxy.example:3128
trusted-host =
    feed.example
    other.example:8443
"""


def test_what_pip_conf_says_of_the_connection_holds_for_every_tool(tmp_path: Path) -> None:
    environ = {**pip_conf(tmp_path, SETTINGS), "PIP_EXTRA_INDEX_URL": URL}
    found = credential.environment(credential.read(environ), environ)
    assert found["PIP_CERT"] == found["SSL_CERT_FILE"] == found["TWINE_CERT"] == "/ca.pem"
    proxy = "http://me:s3cret@proxy.example:3128"
    assert {found[name] for name in ("PIP_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy")} == {
        proxy
    }
    assert (
        found["PIP_TRUSTED_HOST"] == found["UV_INSECURE_HOST"] == "feed.example other.example:8443"
    )
    assert "s3cret" not in repr(credential.read(environ).connection)


def test_what_the_user_has_set_for_uv_and_for_all_programs_stays(tmp_path: Path) -> None:
    own = {
        "SSL_CERT_FILE": "/mine.pem",
        "UV_INSECURE_HOST": "mine.example",
        "https_proxy": "http://mine.example:3128",
    }
    environ = {**pip_conf(tmp_path, SETTINGS), "PIP_EXTRA_INDEX_URL": URL, **own}
    found = credential.environment(credential.read(environ), environ)
    assert own.items() <= found.items()
    assert "HTTP_PROXY" not in found


def test_a_variable_of_pips_goes_before_its_file(tmp_path: Path) -> None:
    own = {"PIP_CERT": "/mine.pem", "PIP_PROXY": "http://mine.example:1", "PIP_TRUSTED_HOST": "m"}
    environ = {**pip_conf(tmp_path, SETTINGS), "PIP_EXTRA_INDEX_URL": URL, **own}
    connection = credential.read(environ).connection
    assert (connection.cert, connection.proxy) == ("/mine.pem", "http://mine.example:1")
    assert connection.trusted == ("m",)


def test_the_proxy_that_pip_was_told_of_is_not_the_tracking_servers(tmp_path: Path) -> None:
    environ = {
        **pip_conf(tmp_path, SETTINGS),
        "PIP_EXTRA_INDEX_URL": URL,
        "MLFLOW_TRACKING_URI": "http://tracking.intern:5000",
    }
    found = credential.environment(credential.read(environ), environ)
    assert found["no_proxy"] == found["NO_PROXY"] == "tracking.intern"
    local = credential.environment(
        credential.from_index(Index("http://127.0.0.1:1/simple/", "a", "b"), environ), environ
    )
    assert local["no_proxy"] == "127.0.0.1,tracking.intern"


def test_an_image_is_built_with_the_same_proxy_and_trusted_hosts(tmp_path: Path) -> None:
    environ = {**pip_conf(tmp_path, SETTINGS), "PIP_EXTRA_INDEX_URL": URL}
    path = tmp_path / "install.conf"
    given = credential.read(environ)
    credential.write_install_conf(given, path)
    written = credential.read({"PIP_CONFIG_FILE": str(path)}).connection
    assert (written.proxy, written.trusted) == (given.connection.proxy, given.connection.trusted)
    assert written.cert is None  # it is a path of this machine


def test_a_file_that_says_how_and_a_variable_that_says_where_go_together(tmp_path: Path) -> None:
    environ = pip_conf(tmp_path, "[global]\nproxy = http://proxy.example:3128\n")
    assert not credential.is_set(environ)
    assert credential.read({**environ, "PIP_EXTRA_INDEX_URL": URL}).feed == INDEX


@pytest.mark.parametrize(
    "given",
    [
        {"PIP_EXTRA_INDEX_URL": URL},
        {"PIP_INDEX_URL": URL},
        {"PIP_EXTRA_INDEX_URL": URL, "PIP_INDEX_URL": MIRROR},
        {"PIP_EXTRA_INDEX_URL": f"{MIRROR} {URL}", "UV_DEFAULT_INDEX": "https://a:b@c.example/"},
        {"PIP_EXTRA_INDEX_URL": URL, "UV_INDEX": MIRROR, "UV_FIND_LINKS": "https://wheels.example"},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("only", [(), ("mine", "tools")], ids=["any name", "names"])
def test_a_command_that_one_of_ours_starts_finds_the_same(
    given: dict[str, str], only: tuple[str, ...]
) -> None:
    found = replace(credential.read(given), only=only)
    environ = credential.environment(found, given)
    again = credential.read(environ)
    assert (again.feed, again.extra, again.default) == (found.feed, found.extra, found.default)
    assert credential.environment(found, environ) == environ
    assert credential.environment(again, environ) == environ
    assert given.get("UV_INDEX", "") in environ["UV_INDEX"]
    assert "wheels.example" not in environ.get("UV_FIND_LINKS", "")


def test_what_is_public_is_asked_for_without_the_credential_of_an_extra_index() -> None:
    given = {"PIP_EXTRA_INDEX_URL": URL, "PIP_CONFIG_FILE": "/dev/null", "HOME": "/home/me"}
    assert credential.public(given) == {"HOME": "/home/me"}
    mirrored = credential.public({**given, "PIP_INDEX_URL": MIRROR})
    assert mirrored == {
        "HOME": "/home/me",
        "PIP_INDEX_URL": MIRROR,
        "UV_DEFAULT_INDEX": MIRROR,
    }


def test_a_password_is_taken_out_of_a_text_as_pip_sends_it_too() -> None:
    index = Index(INDEX.url, "me", "пароль")
    for url in (index.authenticated_url, index.pip_url):
        assert credential.scrub(url, index) == "https://me:…@feed.example:8443/org/pypi/simple/"
