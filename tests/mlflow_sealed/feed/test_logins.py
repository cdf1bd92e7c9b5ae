"""The login of an address that has no password: .netrc first, then the user's own keyring."""

import sys
from pathlib import Path

import pytest

from mlflow_sealed.feed import credential, logins
from mlflow_sealed.feed.credential import CredentialError

PLAIN = "https://feed.example/org/simple/"
WITH_USER = "https://me@feed.example/org/simple/"
AZURE = "https://pkgs.dev.azure.com/org/_packaging/ours/pypi/simple/"

# A keyring as pip and uv call it, with one login; it writes down what it is asked.
KEYRING = """#!{python}
import json, pathlib, sys
pathlib.Path({log!r}).open("a").write(" ".join(sys.argv[1:]) + chr(10))
entries = {entries!r}
arguments = sys.argv[1:]
if arguments[:2] == ["--mode", "creds"]:
    found = [user_and_password for (service, _), user_and_password in entries.items()
             if service == arguments[-1]]
    sys.exit(print(json.dumps(dict(zip(("username", "password"), found[0])))) if found else 1)
service, user = arguments[-2:]
print(entries[service, user][1]) if (service, user) in entries else sys.exit(1)
"""


def keyring(folder: Path, *logins: tuple[str, str, str]) -> dict[str, str]:
    """A user whose PATH has a keyring with some logins: services, user names and passwords."""
    folder.mkdir(exist_ok=True)
    entries = {(service, user): (user, password) for service, user, password in logins}
    path = folder / "keyring"
    path.write_text(
        KEYRING.format(python=sys.executable, log=str(folder / "asked"), entries=entries),
        encoding="utf-8",
    )
    path.chmod(0o755)
    return {"PATH": str(folder), "HOME": str(folder)}


def netrc(folder: Path, text: str) -> dict[str, str]:
    (folder / ".netrc").write_text(text, encoding="utf-8")
    (folder / ".netrc").chmod(0o600)
    return {"HOME": str(folder)}


def asked(folder: Path) -> list[str]:
    path = folder / "asked"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("variable", ["PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"])
@pytest.mark.parametrize("url", [PLAIN, WITH_USER, "https://me@feed.example:8443/simple/"])
def test_netrc_completes_an_address(tmp_path: Path, variable: str, url: str) -> None:
    environ = netrc(tmp_path, "machine feed.example login me password s3cr/t\n")
    found = credential.read({**environ, variable: url})
    assert (found.feed.username, found.feed.password) == ("me", "s3cr/t")
    assert found.feed.url == url.replace("me@", "")
    assert "s3cr%2Ft@" in found.urls[0]


def test_netrc_completes_an_address_of_a_pip_conf(tmp_path: Path) -> None:
    environ = netrc(tmp_path, "machine feed.example login me password s3cret\n")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {PLAIN}\n", encoding="utf-8")
    found = credential.read({**environ, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")})
    assert found.single
    assert found.feed.password == "s3cret"  # noqa: S105 # a test's


def test_the_file_that_netrc_names_is_read_instead(tmp_path: Path) -> None:
    netrc(tmp_path, "machine feed.example login me password s3cret\n")
    environ = {"HOME": "/nowhere", "NETRC": str(tmp_path / ".netrc")}
    assert credential.read({**environ, "PIP_INDEX_URL": PLAIN}).feed.username == "me"


@pytest.mark.parametrize(
    "text",
    [
        "machine feed.example login another password s3cret\n",
        "machine other.example login me password s3cret\n",
        "default login me password s3cret\n",
        "machine feed.example login me\n",
        "",
    ],
)
def test_a_netrc_without_this_login_gives_none(tmp_path: Path, text: str) -> None:
    environ = {**netrc(tmp_path, text), "PIP_EXTRA_INDEX_URL": WITH_USER}
    with pytest.raises(
        CredentialError, match="PIP_EXTRA_INDEX_URL: the address of feed.example has a user name "
    ) as error:
        credential.read(environ)
    assert "no password, .netrc has none for it and the keyring has none" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_netrc_that_cannot_be_read_is_named_and_not_quoted(tmp_path: Path) -> None:
    environ = netrc(tmp_path, "machine a.example login b password c\nmachine s3cret s3cret\n")
    with pytest.raises(CredentialError, match=r".netrc is not a readable .netrc") as error:
        credential.read({**environ, "PIP_INDEX_URL": PLAIN})
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("service", ["https://feed.example/org/simple/", "feed.example"])
def test_a_keyring_completes_an_address_with_a_user_name(tmp_path: Path, service: str) -> None:
    environ = keyring(tmp_path, (service, "me", "s3cret"))
    found = credential.read({**environ, "PIP_EXTRA_INDEX_URL": WITH_USER})
    assert found.extra == ("https://me:s3cret@feed.example/org/simple/",)
    assert asked(tmp_path)[0] == "get https://feed.example/org/simple/ me"


def test_artifacts_keyring_completes_an_address_of_azure_without_a_user_name(
    tmp_path: Path,
) -> None:
    environ = keyring(tmp_path, (AZURE, "VssSessionToken", "t0ken"))
    found = credential.read({**environ, "PIP_INDEX_URL": AZURE})
    assert (found.feed.username, found.feed.password) == ("VssSessionToken", "t0ken")
    assert found.single


def test_a_keyring_that_knows_no_modes_is_asked_with_the_name_that_uvs_docs_have(
    tmp_path: Path,
) -> None:
    environ = keyring(tmp_path, (AZURE, "VssSessionToken", "t0ken"))
    path = tmp_path / "keyring"
    old = path.read_text(encoding="utf-8").replace(
        '["--mode", "creds"]:', '["--mode", "creds"]: sys.exit(2)\nif 0:'
    )
    path.write_text(old, encoding="utf-8")
    assert credential.read({**environ, "PIP_INDEX_URL": AZURE}).feed.password == "t0ken"  # noqa: S105 # a test's


@pytest.mark.parametrize("provider", ["import", "subprocess", "auto"])
@pytest.mark.parametrize("variable", ["PIP_KEYRING_PROVIDER", "UV_KEYRING_PROVIDER"])
def test_a_keyring_that_pip_or_uv_was_told_to_use_is_asked_for_any_address(
    tmp_path: Path, variable: str, provider: str
) -> None:
    environ = keyring(tmp_path, (PLAIN, "me", "s3cret"))
    assert credential.find({**environ, "PIP_INDEX_URL": PLAIN}) is None
    assert asked(tmp_path) == []
    found = credential.read({**environ, "PIP_INDEX_URL": PLAIN, variable: provider})
    assert (found.feed.username, found.feed.password) == ("me", "s3cret")


def test_a_keyring_that_is_disabled_is_not_asked(tmp_path: Path) -> None:
    environ = {**keyring(tmp_path, (PLAIN, "me", "s3cret")), "PIP_KEYRING_PROVIDER": "disabled"}
    with pytest.raises(CredentialError, match="the keyring is disabled: put one there"):
        credential.read({**environ, "PIP_INDEX_URL": WITH_USER})
    assert asked(tmp_path) == []


def test_the_users_own_keyring_is_asked_before_ours(tmp_path: Path) -> None:
    ours = Path(sys.prefix) / "bin"
    assert (ours / "keyring").exists(), "the control: there is one to be hidden by"
    keyring(tmp_path, (PLAIN, "me", "s3cret"))
    found = logins.keyrings({"PATH": f"{ours}:{tmp_path}:/nowhere"})
    assert found == [str(tmp_path / "keyring"), str(ours / "keyring")]


@pytest.mark.parametrize("answer", ["[]", "{}", "not JSON", '{"username": "me"}'])
def test_an_answer_of_a_keyring_that_is_none_is_passed_over(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "keyring"
    path.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    path.chmod(0o755)
    environ = {"PATH": str(tmp_path), "PIP_KEYRING_PROVIDER": "auto", "PIP_INDEX_URL": PLAIN}
    assert credential.find(environ) is None


def test_a_password_in_the_address_wins(tmp_path: Path) -> None:
    environ = keyring(tmp_path, ("feed.example", "me", "another"))
    netrc(tmp_path, "machine feed.example login me password another\n")
    url = "https://me:s3cret@feed.example/simple/"
    assert credential.read({**environ, "PIP_INDEX_URL": url}).feed.password == "s3cret"  # noqa: S105 # a test's
    assert asked(tmp_path) == []


def test_a_password_that_is_said_to_be_empty_is_taken(tmp_path: Path) -> None:
    """With some servers a token stands as the user name."""
    found = credential.read(
        {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://t0ken:@feed.example/"}
    )
    assert (found.feed.username, found.feed.password) == ("t0ken", "")


def test_what_a_command_gets_is_complete_and_read_the_same_again(tmp_path: Path) -> None:
    environ = keyring(tmp_path, ("feed.example", "me", "s3cret"))
    (tmp_path / "pip.conf").write_text(
        f"[global]\nextra-index-url = {WITH_USER}\n", encoding="utf-8"
    )
    environ["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    found = credential.read(environ)
    given = credential.environment(found, environ)
    assert given["PIP_EXTRA_INDEX_URL"] == "https://me:s3cret@feed.example/org/simple/"
    before = len(asked(tmp_path))
    assert credential.read(given) == found
    assert credential.environment(found, given) == given
    assert len(asked(tmp_path)) == before
