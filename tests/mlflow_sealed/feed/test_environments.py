"""Where MLflow's environments are, and what an interruption leaves of them."""

from pathlib import Path

import pytest
from mlflow.utils.process import _exec_cmd
from mlflow.utils.virtualenv import _get_virtualenv_activate_cmd

from mlflow_sealed.feed import environments
from mlflow_sealed.process import ProcessError

ODD = ["a b", "it's", "a;b", "a&b", "$HOME", "a(b)", "a`b", "a\\b"]
PLAIN = ["me", "Müller", "a.b-c_d", "first@example.org"]


def works_in_shell(root: Path) -> bool:
    """Whether the command that MLflow activates an environment with works."""
    folder = root / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "activate").write_text("exit 7\n")
    command = _get_virtualenv_activate_cmd(root / "env")
    done = _exec_cmd(["bash", "-c", command], throw_on_error=False, capture_output=True)
    return bool(done.returncode == 7)


@pytest.mark.parametrize("name", ODD)
def test_a_home_that_mlflow_s_commands_cannot_have_is_not_used(name: str, tmp_path: Path) -> None:
    home, project = tmp_path / name, tmp_path / "project"
    assert not works_in_shell(home)  # the control
    placed = environments.placed({"HOME": str(home)}, project)
    assert placed["MLFLOW_ENV_ROOT"] == str(project / environments.FALLBACK)
    assert works_in_shell(Path(placed["MLFLOW_ENV_ROOT"]))


@pytest.mark.parametrize("name", PLAIN)
def test_any_other_home_is_used(name: str, tmp_path: Path) -> None:
    home = tmp_path / name
    assert works_in_shell(home)
    assert environments.placed({"HOME": str(home)}, tmp_path) == {"HOME": str(home)}


def test_a_folder_that_the_user_has_chosen_stays(tmp_path: Path) -> None:
    environ = {"HOME": "/home/a b", "MLFLOW_ENV_ROOT": "/srv/envs"}
    assert environments.placed(environ, tmp_path) == environ


@pytest.mark.parametrize(
    ("environ", "project", "named"),
    [
        ({"HOME": "/home/me", "MLFLOW_ENV_ROOT": "/srv/x y"}, "/p", "MLFLOW_ENV_ROOT has a blank"),
        ({"HOME": "/home/x y"}, "/x y", "both the home folder's path and the project's"),
    ],
)
def test_where_none_will_do_one_line_says_what_will(
    environ: dict[str, str], project: str, named: str
) -> None:
    with pytest.raises(ProcessError, match=f"{named}.*let MLFLOW_ENV_ROOT name a folder") as caught:
        environments.placed(environ, Path(project))
    assert "x y" not in str(caught.value)
