"""The image and the values for a JupyterHub, as far as they can be held to something here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mathdl_book.launch import Place, hub_link
from mathdl_book.repository import web_address

ROOT = Path(__file__).parents[2]
HUB = ROOT / "deploy" / "jupyterhub"
CHART = "4.3.3"


# ---- the image -----------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each in one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line]


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None and "CI" not in os.environ:
        pytest.skip("no hadolint here")
    checked = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_image_installs_the_files_of_binder_and_the_hubs_own_program() -> None:
    given = instructions()
    (installing,) = [text for kind, text in given if kind == "RUN" and "pip install" in text]
    (command,) = re.findall(r"pip install ([^&]+)", installing)
    options = ["--no-cache-dir", "-r", ".binder/requirements.txt", '"jupyterhub==${JUPYTERHUB}"']
    assert command.split() == options
    assert re.search(r"bash \.binder/postBuild$", installing)
    # In a folder that JupyterLab reads whatever is mounted over the home.
    assert "JUPYTER_CONFIG_DIR=/usr/local/etc/jupyter" in installing
    (version,) = [text for kind, text in given if kind == "ARG"]
    assert re.fullmatch(r"JUPYTERHUB=\d+\.\d+\.\d+", version)
    (base,) = [text for kind, text in given if kind == "FROM"]
    runtime = (ROOT / ".binder" / "runtime.txt").read_text().strip()
    assert re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-bookworm", base)
    assert runtime == "python-" + re.match(r"python:(\d+\.\d+)", base)[1]


def test_the_image_is_nobody_special_and_has_what_it_copies() -> None:
    given = instructions()
    users = [text for kind, text in given if kind == "USER"]
    assert users == ["1000"]
    assert [kind for kind, _ in given].index("USER") > max(
        index for index, (kind, _) in enumerate(given) if kind == "RUN"
    )
    ignored = (ROOT / ".dockerignore").read_text().split()
    for kind, text in given:
        if kind == "COPY":
            for name in text.split()[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in ignored
    assert "*" in ignored


# ---- the chart's values --------------------------------------------------------------------


def only(**properties: Any) -> dict[str, Any]:
    """Return the schema of a mapping with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


SIZE = {"type": ["number", "string"], "pattern": r"^\d+(\.\d+)?[KMGT]$"}
YES, TEXT, WHOLE, ANY = {"type": "boolean"}, {"type": "string"}, {"type": "integer"}, {}
CORES = {"type": "number"}
# What the chart documents of the keys that are in use: https://z2jh.jupyter.org/en/4.3.3/resources/
# reference.html. It refuses all others.
DOCUMENTED = only(
    hub=only(config={"type": "object"}),
    proxy=only(
        https=only(
            enabled=YES,
            type={"enum": ["letsencrypt", "manual", "secret", "offload"]},
            hosts={"type": "array", "items": TEXT},
            letsencrypt=only(contactEmail=TEXT),
        )
    ),
    singleuser=only(
        image=only(name=TEXT, tag=TEXT, pullPolicy={"enum": ["IfNotPresent", "Always", "Never"]}),
        cmd=TEXT,
        defaultUrl=TEXT,
        memory=only(guarantee=SIZE, limit=SIZE),
        cpu=only(guarantee=CORES, limit=CORES),
        storage=only(
            type={"enum": ["dynamic", "static", "none"]}, capacity=TEXT, homeMountPath=TEXT
        ),
        extraEnv={"type": "object", "additionalProperties": TEXT},
        lifecycleHooks=only(postStart={"type": "object"}, preStop={"type": "object"}),
        startTimeout=WHOLE,
        profileList={
            "type": "array",
            "items": only(
                display_name=TEXT,
                slug=TEXT,
                description=TEXT,
                default=YES,
                kubespawner_override=only(
                    image=TEXT,
                    mem_guarantee=SIZE,
                    mem_limit=SIZE,
                    cpu_limit=CORES,
                    environment={"type": "object", "additionalProperties": TEXT},
                    extra_resource_limits={"type": "object", "additionalProperties": TEXT},
                ),
            ),
        },
    ),
    prePuller=only(hook=only(enabled=YES), continuous=only(enabled=YES), pullProfileListImages=YES),
    scheduling=only(
        userScheduler=only(enabled=YES),
        podPriority=only(enabled=YES),
        userPlaceholder=only(enabled=YES, replicas=WHOLE),
    ),
    cull=only(enabled=YES, users=YES, timeout=WHOLE, every=WHOLE, maxAge=WHOLE),
)


def values(name: str = "values.yaml") -> dict[str, Any]:
    return yaml.safe_load((HUB / name).read_text())


@pytest.mark.parametrize("name", ["values.yaml", "gpu.yaml"])
def test_values_are_documented_ones(name: str) -> None:
    jsonschema.validate(values(name), DOCUMENTED)


def test_a_key_that_the_chart_does_not_know_is_refused() -> None:
    wrong = values()
    wrong["singleuser"]["memory"]["request"] = "1G"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, DOCUMENTED)


def test_the_values_fit_the_image_and_the_links() -> None:
    user = values()["singleuser"]
    assert user["storage"]["homeMountPath"] == "/home/jovyan"
    assert user["cmd"] == "jupyterhub-singleuser"
    command = user["lifecycleHooks"]["postStart"]["exec"]["command"][-1].split()
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    place = Place(web_address(config["repository"]["url"]))
    assert command[:4] == ["gitpuller", place.repository, place.branch, place.folder]
    assert f"targetpath={place.folder}&" in hub_link(place, "a.ipynb", "https://hub.org")
    first, gpu = values("gpu.yaml")["singleuser"]["profileList"]
    assert first["default"] and "kubespawner_override" not in first
    assert gpu["kubespawner_override"]["image"].startswith(user["image"]["name"] + ":")


def test_the_sizes_are_those_of_the_page() -> None:
    page = (ROOT / "book" / "instructors" / "jupyterhub.md").read_text()
    user = values()["singleuser"]
    for size in (user["memory"]["guarantee"], user["memory"]["limit"]):
        assert f"{size.removesuffix('G')} GB" in page
    assert f"--version {CHART}" in page
    assert CHART in (HUB / "values.yaml").read_text() and CHART in (ROOT / "Dockerfile").read_text()


@pytest.mark.skipif("MATHDL_HELM" not in os.environ, reason="asks another host: a weekly job")
def test_the_chart_takes_the_values() -> None:
    """With the chart's own schema, where helm can fetch it."""
    command = ["helm", "template", "hub", "jupyterhub", "--version", CHART]
    command += ["--repo", "https://hub.jupyter.org/helm-chart/", "--values", HUB / "values.yaml"]
    for more in ([], ["--values", HUB / "gpu.yaml"]):
        ran = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-3000:]
        assert "kind: Deployment" in ran.stdout
