"""Workflows, issue forms and citation are valid before they are needed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mathdl_book import editions

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(
    set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"}
)


def validate(path: Path, *schema: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        *((path, ("--builtin-schema", "vendor.github-workflows")) for path in WORKFLOWS),
        *((path, ("--builtin-schema", "vendor.github-issue-forms")) for path in FORMS),
        (
            ROOT / ".github/ISSUE_TEMPLATE/config.yml",
            ("--builtin-schema", "vendor.github-issue-config"),
        ),
        (ROOT / ".github/dependabot.yml", ("--builtin-schema", "vendor.dependabot")),
        (ROOT / "CITATION.cff", ("--schemafile", str(ROOT / "tests/ci/cff-1.2.0.schema.json"))),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_file_follows_its_published_schema(path, schema):
    result = validate(path, *schema)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_validation_can_fail(tmp_path):
    broken = tmp_path / "book.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs_on:"))
    assert validate(broken, "--builtin-schema", "vendor.github-workflows").returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_rights_are_least(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job.get("timeout-minutes", 0) <= 90
        for step in job["steps"]:
            if action := step.get("uses"):
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action


def test_gpu_job_asserts_the_device_and_never_runs_a_forks_code():
    job = yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text())["jobs"]["build"]
    steps = [step.get("run", "") for step in job["steps"]]
    assert "make book DEVICE=cuda" in steps
    assert any('startswith("cuda")' in run and "ledger.json" in run for run in steps)
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


def test_a_green_main_and_every_tag_are_published_and_nothing_else():
    book = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text())
    assert book[True]["push"] == {"branches": ["main"], "tags": ["20[0-9][0-9]*"]}  # `on` is true
    publish = book["jobs"]["publish"]
    assert publish["needs"] == "test"
    assert publish["if"] == "github.event_name == 'push'"
    assert publish["permissions"] == {"contents": "write"}
    assert {name for name, job in book["jobs"].items() if "permissions" in job} == {"publish"}
    # The branch that editions go to is the one that is shown, and only after such a push.
    pages = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())
    assert pages[True]["workflow_run"]["workflows"] == [book["name"]]
    deploy = pages["jobs"]["deploy"]
    assert "workflow_run.event == 'push'" in deploy["if"]
    assert deploy["steps"][0]["with"]["ref"] == editions.BRANCH


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_every_issue_form_asks_for_a_label(path):
    fields = {field.get("id"): field for field in yaml.safe_load(path.read_text())["body"]}
    assert fields["label"]["validations"]["required"] is True


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if re.match(r"[\w.-]+==", line))


def needed(groups: set[str]) -> set[str]:
    """Return what groups of pyproject.toml need, with all that those need in turn."""
    waiting = [(Requirement(f"mathdl[{','.join(groups)}]"), "")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                given = metadata.requires(wanted.name) if name != "mathdl" else declared()
                waiting += [(Requirement(line), extra) for line in given or ()]
    return {name for name, _ in seen} - {"mathdl", "setuptools"}  # which comes with Python


def declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = project["optional-dependencies"].items()
    return project["dependencies"] + [
        f"{line}; extra == '{group}'" for group, lines in groups for line in lines
    ]


def test_binder_installs_the_library_and_the_books_pins_of_what_notebooks_need():
    lines = (ROOT / ".binder/requirements.txt").read_text().splitlines()
    assert "-e ." in lines
    assert any("whl/cpu" in line for line in lines)
    installed, book = pins(".binder/requirements.txt"), pins("requirements.txt")
    assert installed.items() <= book.items()
    wanted = needed({"plots", "referees", "lab"})
    assert wanted <= installed.keys()
    assert not {"jupyter-book", "sphinx", "pytest", "playwright"} & installed.keys()


def test_pages_open_as_notebooks_on_binder(tmp_path):
    binder = ROOT / ".binder"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path),
    }
    ran = subprocess.run([binder / "postBuild"], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (settings,) = tmp_path.rglob("default_setting_overrides.json")
    viewers = json.loads(settings.read_text())["@jupyterlab/docmanager-extension:plugin"]
    assert viewers["defaultViewers"]["markdown"] == "Jupytext Notebook"
