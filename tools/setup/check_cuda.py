"""Compiles the CUDA code of our layers (spn/caffe/*.cu); no GPU is needed, and nothing is kept.

Example:
    python -m tools.setup.check_cuda

Compiles other files instead if they are named.  Ends well, with one line, where
there is no nvcc.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.setup import environment

ARCHITECTURES = (75, 80, 86, 89, 90, 120)  # those of them that nvcc knows, and PTX of the last
# As tools/setup/CMakeLists.txt has them compiled; the release flags are CMake's own.
CUDA_STANDARD = 17
SPN_OPTIONS = ["-fmad=false"]
RELEASE_OPTIONS = ["-O3", "-DNDEBUG", "-Xcompiler=-fPIC"]
# What Caffe's headers, not our code, want of cuBLAS and cuRAND; the packages take 444 MB.
STAND_INS = {
    "cublas_v2.h": "typedef struct cublasContext* cublasHandle_t;\n"
                   "typedef enum { CUBLAS_STATUS_SUCCESS } cublasStatus_t;\n",
    "curand.h": "typedef struct curandGenerator_st* curandGenerator_t;\n"
                "typedef enum { CURAND_STATUS_SUCCESS } curandStatus_t;\n"}


class CheckError(Exception):
    """The code does not compile, or cannot be compiled; the message says why."""


def output(*command):
    """What a command prints.  Raises CheckError with what it complains of."""
    try:
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                errors="replace")
    except FileNotFoundError as error:
        raise CheckError(f"there is no {command[0]} on the PATH: make setup") from error
    if result.returncode:
        raise CheckError(f"failed: {shlex.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def architecture_flags():
    """nvcc's options for the code of ARCHITECTURES, and for PTX of the newest of them."""
    known = set(map(int, re.findall(r"^compute_(\d+)$", output("nvcc", "--list-gpu-arch"), re.M)))
    found = [number for number in ARCHITECTURES if number in known]
    if not found:
        raise CheckError(f"this nvcc knows none of the architectures {ARCHITECTURES}")
    return [*(f"-gencode=arch=compute_{n},code=sm_{n}" for n in found),
            f"-gencode=arch=compute_{found[-1]},code=compute_{found[-1]}"], found


def caffe_flags():
    """Definitions and folders of headers with which the module in .venv was compiled."""
    if not any(environment.VENV.glob("lib/python3*/site-packages")):
        raise CheckError(f"{environment.VENV} is missing: make setup")
    builds = [build for mode in ("cuda", "cpu")
              if (build := environment.BUILD / "caffe" / mode / "build.ninja").is_file()]
    if not builds:
        raise CheckError("Caffe is not built yet: make setup")
    build = max(builds, key=lambda path: path.stat().st_mtime).parent
    source = environment.ROOT / "spn/caffe/divide_layer.cpp"
    commands = [entry["command"] for entry in json.loads(output("ninja", "-C", build, "-t",
                                                                "compdb"))
                if Path(entry["file"]) == source]
    if not commands:
        raise CheckError(f"{build} does not compile {source}: make setup")
    text = commands[0].replace("-isystem ", "-I")
    return [word for word in shlex.split(text)
            if word.startswith(("-D", "-I")) and word != "-DCPU_ONLY"]


def cuda_flags(folder):
    """The folders of cublas_v2.h and curand.h: real ones where they are, else stand-ins."""
    flags = [f"-I{path}" for path in environment.cuda_folders(*STAND_INS)]
    probe = folder / "probe.cu"
    probe.write_text("".join(f"#include <{name}>\n" for name in STAND_INS))
    try:
        output("nvcc", "-E", *flags, probe)
    except CheckError:
        for name, text in STAND_INS.items():
            (folder / name).write_text(text)
        print("check-cuda: cuBLAS and cuRAND are not installed: stand-ins for their headers, "
              "of which ours use nothing")
        return [f"-I{folder}"]
    return flags


def check(folder, sources):
    """Compiles the files.  Raises CheckError where one of them does not compile."""
    flags, architectures = architecture_flags()
    flags += [f"-std=c++{CUDA_STANDARD}", *RELEASE_OPTIONS, *SPN_OPTIONS, *caffe_flags(),
              *cuda_flags(folder)]
    for source in sources:
        start = time.monotonic()
        said = output("nvcc", *flags, "-c", source, "-o", folder / "object.o")
        print(f"check-cuda: {source.parent.name}/{source.name} compiles "
              f"({time.monotonic() - start:.0f} s)", flush=True)
        if said:
            print(said)
    print(f"check-cuda: for sm_{', sm_'.join(map(str, architectures))} and PTX; "
          f"{output('nvcc', '--version').strip().splitlines()[-1]}")


def main():
    if not shutil.which("nvcc"):
        print("check-cuda: NOT CHECKED: there is no nvcc (the CUDA toolkit's compiler) on the PATH",
              file=sys.stderr)
        return
    sources = [Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), sources or sorted((environment.ROOT / "spn/caffe").glob("*.cu")))


if __name__ == "__main__":
    try:
        main()
    except (CheckError, OSError, ValueError) as error:
        sys.exit(f"check-cuda: {error}")
    except KeyboardInterrupt:
        sys.exit("check-cuda: interrupted")
