"""An environment with PyTorch beside the project's own, which stays as it is: without its gigabytes of CUDA.

The one build of PyTorch for Linux that the package index has is linked to CUDA's libraries, which come as packages of their
own. None of their functions is called on a processor: in their place stand libraries made here, with the names and the
versions that the loader asks for, whose functions all answer "no device".
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

FOLDER = Path("var/bench/pytorch")
PACKAGES = ("numpy==1.26.4", "typing_extensions", "sympy", "networkx", "jinja2", "fsspec", "filelock")
PYTORCH = "torch==2.15.0"
NO_DEVICE = 100  # cudaErrorNoDevice
CUDA = re.compile(r"\[(lib(?:cu|nv|nccl)[A-Za-z_]*\.so\.\d+)\]")


def pytorch_python() -> Path:
    """The interpreter of the environment, which is made where it is not there: a minute and a gigabyte, once."""
    python, made = FOLDER / "bin/python", FOLDER / PYTORCH
    if not made.exists():
        uv = (
            subprocess.run(["tools/uv.sh"], check=True, capture_output=True, text=True).stdout.strip() + "/uv"
        )
        install = [uv, "pip", "install", "--quiet", "--python", python]
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.11", FOLDER], check=True)
        subprocess.run([*install, *PACKAGES], check=True)
        subprocess.run([*install, "--no-deps", PYTORCH], check=True)
        (libraries,) = FOLDER.glob("lib/python*/site-packages/torch/lib")
        stand_in_for_cuda(libraries)
        made.touch()
    return python


def stand_in_for_cuda(libraries: Path) -> None:
    """Makes the CUDA libraries that those in `libraries` are linked to, beside them."""
    names: set[str] = set()
    functions: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # library, version
    for library in libraries.glob("*.so"):
        names |= set(CUDA.findall(_read("-d", library)))
        library_of, at = {}, ""
        for line in _read("-V", library).splitlines():  # which library is to have which version
            if found := re.search(r"File: (\S+)", line):
                at = found[1]
            elif found := re.search(r"Name: (\S+)", line):
                library_of[found[1]] = at
        for line in _read("-s", library).splitlines():
            if found := re.search(r"UND (\w+)@(\S+)", line):
                functions[library_of.get(found[2], "")][found[2]].add(found[1])
    for name in names:
        versions = functions.get(name, {})
        wanted = sorted(set().union(*versions.values()))
        code = "".join(f"int {function}(void) {{ return {NO_DEVICE}; }}\n" for function in wanted)
        script = "".join(f"{v} {{ global: {'; '.join(sorted(fs))}; }};\n" for v, fs in versions.items())
        (FOLDER / "cuda.c").write_text(code)
        (FOLDER / "cuda.map").write_text(script)
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", libraries / name]
        command += [f"-Wl,--version-script={FOLDER / 'cuda.map'}"] if script else []
        subprocess.run([*command, FOLDER / "cuda.c"], check=True)


def _read(what: str, library: Path) -> str:
    command = ["readelf", "--wide", what, library]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
