"""Make the libraries of kernels: `python -m tools.kernels`; with `--check` compare those that are there.

The same sources, numba and llvmlite give the same object files, byte for byte, on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

PROCESSORS = {
    "x86_64_v4": "x86-64-v4",
    "x86_64_v3": "x86-64-v3",
    "x86_64": "x86-64",
}  # libraries, and LLVM's names of what they are made for


def main() -> None:
    """Make the libraries, or say whether those that are there are of these sources."""
    parser = argparse.ArgumentParser(prog="python -m tools.kernels", description=__doc__)
    parser.add_argument("--check", action="store_true", help="make the object files and compare them with the manifest")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0" or os.environ.get("POOLWISE_KERNELS") != "jit":
        # Sets of numba are in another order in every process but for this.
        os.environ.update(PYTHONHASHSEED="0", POOLWISE_KERNELS="jit")
        os.execv(sys.executable, [sys.executable, "-m", "tools.kernels", *sys.argv[1:]])
    from poolwise.compiled.library import FOLDER

    objects, sources = _objects(), _sources()
    if asked.check:
        _check(FOLDER, objects, sources)
    else:
        _write(FOLDER, objects, sources)


def _objects() -> dict[str, bytes]:
    from tools.kernels.link import linked, optimised
    from tools.kernels.lower import lower_all

    written, made = linked(list(lower_all())), {}
    for name, processor in PROCESSORS.items():
        module, machine = optimised(written.clone(), processor)
        made[name] = machine.emit_object(module)
        if b".py" in made[name]:
            raise SystemExit("A kernel can raise an exception, which names its file: let it return a code instead.")
        missing = [each.name for each in module.functions if each.is_declaration and each.name.startswith("NRT_")]
        if missing:
            raise SystemExit(f"A kernel calls numba's runtime ({', '.join(missing)}): assign element by element.")
    return made


def _sources() -> dict[str, str | None]:
    """Digests of all modules whose code or constants are in the libraries, by their place in the package."""
    from tools.kernels.lower import modules

    from poolwise.compiled.library import PACKAGE, digest_of

    own = [PACKAGE / "compiled" / name for name in ("__init__.py", "indices.py", "jit.py", "types.py")]
    paths = [*own, *(Path(str(module.__file__)) for module in modules())]
    return {str(path.relative_to(PACKAGE)): digest_of(path) for path in sorted(set(paths))}


def _made_by() -> dict[str, str]:
    import llvmlite
    import numba

    tools = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.iterdir()) if path.is_file())
    return {"numba": numba.__version__, "llvmlite": llvmlite.__version__, "tools": hashlib.sha256(tools).hexdigest()}


def _write(folder: Path, objects: dict[str, bytes], sources: dict[str, str | None]) -> None:
    from tools.kernels.link import shared_library

    from poolwise.compiled.library import digest_of

    folder.mkdir(exist_ok=True)
    for name, code in objects.items():
        (folder / f"{name}.so").write_bytes(shared_library(code))
    manifest: dict[str, Any] = {
        "made_by": _made_by(),
        "objects": {name: hashlib.sha256(code).hexdigest() for name, code in objects.items()},
        "libraries": {name: digest_of(folder / f"{name}.so") for name in objects},
        "sources": sources,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{len(objects)} libraries in {folder}")


def _check(folder: Path, objects: dict[str, bytes], sources: dict[str, str | None]) -> None:
    from poolwise.compiled.library import digest_of

    manifest = json.loads((folder / "manifest.json").read_text())
    found = {
        "sources": sources == manifest["sources"],
        "objects": {name: hashlib.sha256(code).hexdigest() for name, code in objects.items()} == manifest["objects"],
        "libraries": {name: digest_of(folder / f"{name}.so") for name in objects} == manifest["libraries"],
        "made_by": _made_by() == manifest["made_by"],
    }
    different = [name for name, same in found.items() if not same]
    if different:
        raise SystemExit(
            f"The libraries of kernels are not of these sources ({', '.join(different)}): run python -m tools.kernels."
        )
    print("The libraries of kernels are those of these sources, byte for byte.")


if __name__ == "__main__":
    main()
