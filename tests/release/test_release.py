"""What is released: its version is in one place, its licences are listed, and its workflows are sound."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import webhook_receiver
from tests.commands import run
from tests.helpers import ROOT
from tests.postgres import execute
from tests.release.licences import NOT_SHIPPED, PAGE, licence, needed_for, shipped
from webhook_receiver.errors import DISTRIBUTION

PYPROJECT: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
HERE = Path(__file__).parents[2]
WORKFLOWS = sorted(HERE.joinpath(".github", "workflows").glob("*.yml"))
FINE = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"),
    "LGPL-3.0-only",  # of psycopg, which is imported and not changed
}
"""The licences under which whoever uses the package has nothing to do for his own code."""


def test_all_tell_the_version_that_the_project_has() -> None:
    told = {version(DISTRIBUTION), webhook_receiver.__version__, run("--version").stdout.split()[-1]}
    assert told == {PROJECT["version"]}


def test_a_release_is_built_by_one_version_of_the_backend_which_the_guide_names() -> None:
    (required,) = BUILD["requires"]
    name, _, exact = required.partition("==")
    assert re.fullmatch(r"[\d.]+", exact), required
    assert f"{name} {exact}" in ROOT.joinpath("docs", "platforms.md").read_text(encoding="utf-8")


def test_every_python_that_is_named_is_tried_by_the_workflow() -> None:
    named = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", each)}
    assert f">={min(named, key=lambda each: int(each[2:]))}" == PROJECT["requires-python"]
    assert named <= set(workflow("ci.yml")["jobs"]["run"]["strategy"]["matrix"]["python"])


def test_the_postgresql_that_is_named_is_that_of_the_suite(postgres_url: str) -> None:
    ((told,),) = execute(postgres_url.partition("?")[0], "SHOW server_version")
    assert f"PostgreSQL is {told.partition('.')[0]} in the suite" in ROOT.joinpath("docs", "platforms.md").read_text(
        "utf-8"
    )


def test_the_licence_of_each_dependency_is_listed_and_lets_everybody_use_it() -> None:
    told = dict(re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+) \| (?:`|the)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    found = {name: licence(name) for name in shipped()}
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][each] for each in extras())]
    assert {Requirement(line).name for group in groups for line in group} <= found.keys() & told.keys()
    assert {name: told.get(name) for name in found} == found  # a row more may be of another platform
    for name, each in found.items():
        assert all(FINE & set(part.split(" OR ")) for part in each.split(" AND ")), f"{name}: {each}"


def test_every_dependency_that_is_compiled_is_told_of() -> None:
    guide = ROOT.joinpath("docs", "platforms.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| `manylinux\w+_aarch64`", guide, re.MULTILINE))
    needed = {name: needed_for(each) for name, each in shipped().items()}
    compiled = {name for name in needed if any(each.suffix == ".so" for each in distribution(name).files or ())}
    assert "pydantic-core" in compiled
    assert {name: told.get(name) for name in compiled} == {name: needed[name] for name in compiled}
    assert told.keys() <= needed.keys()  # on another platform one may be plain Python


def extras() -> list[str]:
    return [each for each in PROJECT["optional-dependencies"] if each not in NOT_SHIPPED]


def workflow(name: str) -> dict[str, Any]:
    (file,) = (each for each in WORKFLOWS if each.name == name)
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_workflow_is_one_and_runs_what_is_there(name: str) -> None:
    (file,) = (each for each in WORKFLOWS if each.name == name)
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    commands = re.findall(r"run: (\.ci/\w+)", file.read_text(encoding="utf-8"))
    assert ".ci/run" in commands
    assert all(HERE.joinpath(each).stat().st_mode & 0o111 for each in commands)


def test_the_workflows_let_nobody_in() -> None:
    program = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run(
        [program, "--offline", "--no-progress", HERE / ".github"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_what_is_released_has_passed_everything_in_the_time_that_it_has_each_week() -> None:
    build, weekly = workflow("release.yml")["jobs"]["build"], workflow("ci.yml")["jobs"]["run"]
    commands = [step.get("run") for step in build["steps"]]
    assert ".ci/run --long" in commands
    assert commands.index(".ci/run --long") < commands.index(".ci/package dist")
    assert ".ci/run --long" in [step.get("run") for step in weekly["steps"]]
    assert build["timeout-minutes"] >= weekly["timeout-minutes"]


def test_what_is_released_is_published_by_a_job_that_can_do_nothing_else() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"]["id-token"] == "write"
    assert not any("run" in step for step in jobs["publish"]["steps"])
    assert "secrets." not in str(jobs)
