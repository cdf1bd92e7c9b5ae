"""Which address a package is uploaded to."""

from pathlib import Path

import pytest

from mlflow_sealed.feed import upload_address
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.upload_address import Target, TargetError


@pytest.mark.parametrize(
    ("index", "upload"),
    [
        (
            "https://feed.example/org/_packaging/f/pypi/simple/",
            "https://feed.example/org/_packaging/f/pypi/upload/",
        ),
        (
            "https://h.example/_packaging/f/pypi/simple",
            "https://h.example/_packaging/f/pypi/upload/",
        ),
        (
            "https://git.example/sub/api/v4/projects/group%2Fproject/packages/pypi/simple",
            "https://git.example/sub/api/v4/projects/group%2Fproject/packages/pypi",
        ),
        (
            "https://git.example/api/packages/team/pypi/simple/",
            "https://git.example/api/packages/team/pypi",
        ),
        (
            "https://art.example/artifactory/api/pypi/pypi/simple",
            "https://art.example/artifactory/api/pypi/pypi",
        ),
        ("https://nexus.example/repository/pypi/simple/", "https://nexus.example/repository/pypi/"),
        ("https://devpi.example/root/dev/+simple/", "https://devpi.example/root/dev/"),
        ("https://devpi.example/below/root/pypi/+simple", "https://devpi.example/below/root/pypi/"),
        ("https://feed.example/pypi/simple/", "https://feed.example/pypi/"),
        ("https://feed.example/nosimple/", "https://feed.example/nosimple/"),
        ("http://127.0.0.1:8083/simple/", "http://127.0.0.1:8083/"),
        ("http://127.0.0.1:8083/simple", "http://127.0.0.1:8083/"),
    ],
)
def test_the_upload_address_follows_from_the_index(index: str, upload: str) -> None:
    assert upload_address.from_index(Index(index, "me", "s3cret")).upload_url == upload


@pytest.mark.parametrize(
    ("upload", "indexes"),
    [
        (
            "https://h.example/org/_packaging/f/pypi/upload",
            ["https://h.example/org/_packaging/f/pypi/simple/"],
        ),
        (
            "https://git.example/api/v4/projects/42/packages/pypi",
            ["https://git.example/api/v4/projects/42/packages/pypi/simple/"],
        ),
        (
            "https://git.example/api/packages/team/pypi",
            ["https://git.example/api/packages/team/pypi/simple/"],
        ),
        (
            "https://art.example/artifactory/api/pypi/local",
            ["https://art.example/artifactory/api/pypi/local/simple/"],
        ),
        (
            "https://nexus.example/repository/private/",
            ["https://nexus.example/repository/private/simple/"],
        ),
        (
            "https://devpi.example/root/dev/",
            ["https://devpi.example/root/dev/+simple/", "https://devpi.example/root/dev/simple/"],
        ),
        ("https://feed.example", ["https://feed.example/simple/"]),
        ("https://feed.example/pypi/", ["https://feed.example/pypi/simple/"]),
    ],
)
def test_the_index_of_a_pypirc_follows_from_its_upload_address(
    upload: str, indexes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / ".pypirc"
    path.write_text(f"[f]\nrepository = {upload}\nusername = me\npassword = s3cret\n")
    target = upload_address.from_pypirc(path)
    assert target.upload_url == upload
    assert [each.url for each in target.indexes] == indexes
    assert {(each.username, each.password) for each in target.indexes} == {("me", "s3cret")}


def test_a_gitlab_group_takes_no_uploads() -> None:
    index = Index("https://git.example/api/v4/groups/7/-/packages/pypi/simple", "me", "s3cret")
    with pytest.raises(TargetError, match="a GitLab group, which takes no uploads: .*--upload-url"):
        upload_address.from_index(index)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("https://other.example/f/", "is not on the feed's host, feed.example: a login of its own"),
        ("http://feed.example/f/", "is not on the feed's host, feed.example"),
        ("https://feed.example:8443/f/", "is not on the feed's host, feed.example"),
        ("https://me:s3cret@feed.example/f/", "expected https://HOST/…, without user name"),
        ("feed", "expected https://HOST/…, without user name"),
    ],
)
def test_an_upload_address_elsewhere_does_not_get_the_feeds_password(own: str, said: str) -> None:
    index = Index("https://feed.example/f/simple/", "me", "s3cret")
    with pytest.raises(TargetError, match=said) as error:
        upload_address.from_index(index, own)
    assert "s3cret" not in str(error.value)


PYPIRC = """[distutils]
index-servers =
    dss
    other

[dss]
repository = https://feed.example/org/_packaging/dss/pypi/upload/
username = dss
password = s3cret%1

[other]
repository = https://me:s3cret@127.0.0.1:1/
"""


def test_a_pypirc_names_the_feed_as_twine_authenticate_writes_it(tmp_path: Path) -> None:
    path = tmp_path / ".pypirc"
    path.write_text(PYPIRC, encoding="utf-8")
    assert upload_address.from_pypirc(path, "dss") == Target(
        "https://feed.example/org/_packaging/dss/pypi/upload/",
        Index("https://feed.example/org/_packaging/dss/pypi/simple/", "dss", "s3cret%1"),
    )
    assert upload_address.from_pypirc(path, "other") == Target(
        "https://127.0.0.1:1/", Index("https://127.0.0.1:1/simple/", "me", "s3cret")
    )


@pytest.mark.parametrize("repository", [None, "third"])
def test_a_pypirc_without_one_answer_lists_its_repositories(
    tmp_path: Path, repository: str | None
) -> None:
    path = tmp_path / ".pypirc"
    path.write_text(PYPIRC, encoding="utf-8")
    with pytest.raises(TargetError, match=r"has the repositories \['dss', 'other'\].*--repository"):
        upload_address.from_pypirc(path, repository)


@pytest.mark.parametrize("text", ["password = s3cret", None])
def test_an_unreadable_pypirc_is_named_and_not_quoted(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / ".pypirc"
    if text:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(TargetError, match=r"PYPIRC_PATH \(.*\) is not a readable .pypirc") as e:
        upload_address.from_pypirc(path)
    assert "s3cret" not in str(e.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://u:s3cret@host:notaport/x",
        "https://:s3cret@host/x",
        "ftp://u:s3cret@host/x",
        "host/x",
    ],
)
def test_an_address_in_a_pypirc_that_is_none_is_not_quoted(tmp_path: Path, address: str) -> None:
    path = tmp_path / ".pypirc"
    path.write_text(f"[dss]\nrepository = {address}\nusername = u\npassword = p\n")
    with pytest.raises(TargetError, match="expected an address https://HOST") as error:
        upload_address.from_pypirc(path)
    assert "s3cret" not in str(error.value)


def test_a_pypirc_without_a_password_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / ".pypirc"
    path.write_text("[dss]\nrepository = https://feed.example/\nusername = dss\n", encoding="utf-8")
    with pytest.raises(TargetError, match="has no username and password for https://feed.example/"):
        upload_address.from_pypirc(path)
