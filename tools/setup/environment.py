"""Makes the whole environment: Debian packages, .venv, Python packages, real Caffe.

Example:
    python3 -m tools.setup.environment                       # CPU, Caffe from the package index
    python3 -m tools.setup.environment --caffe-src ~/caffe   # a Caffe tree of your own
    python3 -m tools.setup.environment --cuda 1              # compile for CUDA as well
    python3 -m tools.setup.environment --onednn 0            # convolutions by Caffe and OpenBLAS
    python3 -m tools.setup.environment --slurm               # and Slurm, for tests/slurm

A second run finds nothing to do and returns at once; what it is not told stays
as it was.  Uses the standard library only.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tools.setup import caffe_tree, pypi

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
STAMP = VENV / "setup.json"
CAFFE_SDIST = ("brocolli-caffe==9.0.2",
               "c6410cc60bdd6db685d441b66be7df05410f8850ac88d6b75d48ef9b2315c08a")
DEBIAN_PACKAGES = [
    "build-essential", "cmake", "ninja-build", "ccache", "protobuf-compiler", "libprotobuf-dev",
    "libboost-python-dev", "libboost-system-dev", "libboost-thread-dev",
    "libboost-filesystem-dev", "libgoogle-glog-dev", "libgflags-dev", "libhdf5-dev",
    "libopenblas-dev", "python3-venv",
    "chromium"]  # which the tests look at the report in
ONEDNN_PACKAGES = ["libdnnl-dev"]
SLURM_PACKAGES = ["munge", "slurm-client", "slurmctld", "slurmd"]  # the tests start their own
OLDEST_PYTHON = 11  # 3.11, for the pinned packages
PYTHON_PROTO = "proto/python/caffe_pb2.py"  # in the build's folder
GIGABYTES = 2, 3.5  # of disk that .venv and build take: for the CPU, and for CUDA as well
CUDA_PACKAGES = ["nvidia-cublas<14", "nvidia-curand<11"]
# Every Python of .venv runs this when it starts: what is installed here comes before what the
# shell's PYTHONPATH has, where users of pycaffe keep another Caffe.  What only that has is found.
INSTALLED_FIRST = (
    "import os, site, sys; sys.path.sort(key=set(map(os.path.abspath, os.environ.get("
    "'PYTHONPATH', '').split(':'))).difference(site.getsitepackages()).__contains__)\n")
# Protobuf's package, which has none: a `google` with one would come first, wherever it is.
GOOGLE = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


class SetupError(Exception):
    """The environment cannot be made; the message says what to do."""


def run(command, **keywords):
    """Runs a command; raises SetupError with its name where it fails."""
    result = subprocess.run([str(part) for part in command], **keywords)
    if result.returncode:
        raise SetupError(f"failed: {' '.join(str(part) for part in command)}")


def missing_debian_packages(packages):
    """Those of the packages that are not installed ([] where there is no dpkg)."""
    if not shutil.which("dpkg-query"):
        return []
    result = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package} ${db:Status-Abbrev}\n", *packages],
        capture_output=True, text=True)
    lines = [line.split() for line in result.stdout.splitlines()]
    installed = {name for name, *status in lines if status == ["ii"]}
    return [name for name in packages if name not in installed]


def install_debian_packages(packages):
    missing = missing_debian_packages(packages)
    if not missing:
        return
    if os.geteuid() == 0:
        prefix = []
    elif shutil.which("sudo"):
        prefix = ["sudo"]
    else:
        raise SetupError("these Debian packages are missing, and there is neither root nor sudo: "
                         f"apt-get install {' '.join(missing)}")
    print(f"setup: installing Debian packages: {' '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*prefix, "apt-get", "-qq", "update"], env=environment)
    run([*prefix, "apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0",
         "install", *missing], env=environment, stdout=subprocess.DEVNULL)


def install_slurm():
    """Installs Slurm and MUNGE from Debian.

    Where there is an init system, their packages enable their services: MUNGE's starts, with
    a key of its own, for this machine only; Slurm's do not without /etc/slurm/slurm.conf,
    which we do not write.  The tests need none of them.
    """
    missing = missing_debian_packages(SLURM_PACKAGES)
    install_debian_packages(SLURM_PACKAGES)
    if "munge" in missing and Path("/run/systemd/system").is_dir():
        print("setup: Debian has started its service munge, which our tests do not need "
              "(to stop it: systemctl disable --now munge)")


def boost_pythons():
    """Versions, such as "3.11", that an installed Boost.Python is built for and we can use."""
    folders = [Path(p) for p in ("/usr/lib", "/usr/local/lib", "/usr/lib64")]
    folders += [p for p in Path("/usr/lib").glob("*-linux-gnu*") if p.is_dir()]
    names = {p.name for folder in folders for p in folder.glob("libboost_python3*.so")}
    found = {re.fullmatch(r"libboost_python3(\d+)\.so", name) for name in names}
    minors = sorted(int(match[1]) for match in found if match)
    return [f"3.{minor}" for minor in minors if minor >= OLDEST_PYTHON]


def python_version(executable):
    """"3.11" for a Python that runs and has its headers, else None."""
    code = ("import sys, sysconfig, os, ensurepip;"
            "assert os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h'));"
            "print('%d.%d' % sys.version_info[:2])")
    try:
        result = subprocess.run([executable, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def choose_python(wanted=None):
    """Path of a Python for which Boost.Python exists.  Raises SetupError where none does."""
    versions = boost_pythons()
    if not versions:
        raise SetupError("Boost.Python is not installed (Debian: libboost-python-dev)")
    names = [wanted] if wanted else [
        "python3", *(f"python{version}" for version in reversed(versions)), "/usr/bin/python3"]
    for name in names:
        path = shutil.which(name)
        if path and python_version(path) in versions:
            return path
    seen = ", ".join(f"{name} is {python_version(name) or 'missing or without headers'}"
                     for name in names)
    raise SetupError(f"Boost.Python exists here for Python {', '.join(versions)} only ({seen}); "
                     "install one of these and give it as PYTHON=/path/to/python")


def site_packages():
    """The folder of .venv that packages are in."""
    return next(VENV.glob("lib/python3*/site-packages"))


def check_place(cuda):
    """Raises SetupError where .venv and build cannot be written, or where there is no room."""
    for path in (ROOT, *(folder for folder in (VENV, BUILD) if folder.exists())):
        if not os.access(path, os.W_OK | os.X_OK):
            raise SetupError(f"{path} cannot be written to; it must be yours")
    needed = GIGABYTES[bool(cuda)] if not (VENV / "bin/python").exists() else 0.5
    free = shutil.disk_usage(VENV if VENV.exists() else ROOT).free / 1e9
    if free < needed:
        raise SetupError(f"{ROOT} has {free:.1f} GB of free disk; {needed:g} GB are needed")


def make_venv(python, cuda):
    """Makes .venv with the pinned packages and this project (editable)."""
    python_in_venv = VENV / "bin/python"
    if python_version(str(python_in_venv)) != python_version(python):
        run([python, "-m", "venv", "--clear", VENV])
    print("setup: installing Python packages", flush=True)
    pip = [python_in_venv, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run([*pip, "-r", ROOT / "requirements.txt", "-r", ROOT / "requirements-dev.txt"])
    run([*pip, "--no-deps", "-e", ROOT])
    (site_packages() / "installed_first.pth").write_text(INSTALLED_FIRST)
    (site_packages() / "google/__init__.py").write_text(GOOGLE)
    if cuda:
        run([*pip, *CUDA_PACKAGES])


def caffe_source(given):
    """The Caffe tree to build: the user's own, or the pinned archive, unpacked."""
    if given:
        return given
    requirement, sha256 = CAFFE_SDIST
    print(f"setup: fetching Caffe's source ({requirement})", flush=True)
    archive = pypi.download(requirement, sha256, BUILD / "downloads", VENV / "bin/python")
    folder = BUILD / "caffe/source"
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as package:
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        package.extractall(folder, **options)
    return next(folder.iterdir())


def cuda_folders(*names):
    """Folders in .venv that hold these files of NVIDIA's packages; [] in an environment for CPU."""
    packages = site_packages() / "nvidia"
    return sorted({str(path.parent) for name in names for path in packages.rglob(name)})


def cuda_options():
    """CMake options for nvcc and the cuBLAS and cuRAND of .venv."""
    if not shutil.which("nvcc"):
        raise SetupError("CUDA=1 needs nvcc (the CUDA toolkit's compiler) on the PATH")
    libraries = cuda_folders("libcublas.so.*", "libcurand.so.*")
    includes = cuda_folders("cublas_v2.h", "curand.h")
    return ["-DUSE_CUDA=ON", f"-DCUDA_LIBRARY_DIRS={';'.join(libraries)}",
            f"-DCUDA_INCLUDE_DIRS={';'.join(includes)}"]


def build_caffe(source, cuda, onednn):
    """Compiles Caffe and our layers, and installs pycaffe into .venv."""
    mode = "cuda" if cuda else "cpu"
    version = CAFFE_SDIST[0].split("==")[1] if source.is_relative_to(BUILD) else "custom"
    tree, build = BUILD / "caffe/tree", BUILD / "caffe" / mode
    fresh = tree.with_name("tree.new")
    caffe_tree.prepare(source, fresh, sorted((ROOT / "spn/caffe").glob("*.proto")))
    sync_tree(fresh, tree)
    run(["cmake", "--fresh", "-S", ROOT / "tools/setup", "-B", build, "-G", "Ninja",
         f"-DCAFFE_TREE={tree}", f"-DSPN_DIR={ROOT / 'spn/caffe'}",
         f"-DRESNETF_DIR={ROOT / 'ResNetF/caffe'}", f"-DUSE_ONEDNN={onednn}",
         f"-DCAFFE_VERSION={version}",
         f"-DPython3_EXECUTABLE={VENV / 'bin/python'}", *(cuda_options() if cuda else [])],
        stdout=subprocess.DEVNULL)
    ninja = ["ninja", "-C", build, *([] if sys.stdout.isatty() else ["--quiet"])]
    run([*ninja, PYTHON_PROTO])
    package = python_part(tree, build, {
        "mode": mode.upper(), "convolutions": "oneDNN" if onednn else "Caffe",
        "source": str(source)})
    print("setup: compiling Caffe (some minutes the first time)", flush=True)
    run(ninja)
    install_pycaffe(package, build)


def python_part(tree, build, info):
    """Makes the package `caffe` in .venv but for its module, beside the old one; its path.

    All that can fail in it fails before minutes of compiling.
    """
    package = site_packages() / "caffe.new"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(tree / "python/caffe", package, ignore=shutil.ignore_patterns(
        "__pycache__", "*.cpp", "proto", "test", "imagenet"))
    (package / "proto").mkdir()  # which Caffe's own build makes: the classic tree has none
    (package / "proto/__init__.py").touch()
    shutil.copy2(build / PYTHON_PROTO, package / "proto/caffe_pb2.py")
    run([VENV / "bin/python", "-B", package / "proto/caffe_pb2.py"])  # is it for this protobuf?
    (package / "build.json").write_text(json.dumps(info))
    return package


def install_pycaffe(package, build):
    """Adds the compiled module to the package, which takes the place of the old one."""
    shutil.copy2(build / "_caffe.so", package / "_caffe.so")
    shutil.rmtree(package.with_name("caffe"), ignore_errors=True)
    package.rename(package.with_name("caffe"))
    run([VENV / "bin/python", "-c", "import caffe"])


def sync_tree(fresh, tree):
    """Moves `fresh` to `tree`; files that did not change keep their times, for ninja."""
    for path in fresh.rglob("*"):
        old = tree / path.relative_to(fresh)
        if path.is_file() and old.is_file() and path.read_bytes() == old.read_bytes():
            stat = old.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shutil.rmtree(tree, ignore_errors=True)
    fresh.rename(tree)


def fingerprint(args):
    """What the environment was made from; an equal one means nothing to do."""
    digest = hashlib.sha256()
    patterns = ("requirements*.txt", "pyproject.toml", "tools/setup/environment.py",
                "tools/setup/caffe_tree.py", "tools/setup/CMakeLists.txt", "spn/caffe/*",
                "ResNetF/caffe/*")
    for path in sorted(p for pattern in patterns for p in ROOT.glob(pattern) if p.is_file()):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    if args.caffe_src:
        for path in sorted(args.caffe_src.rglob("*.*")):
            if path.suffix in (".cpp", ".hpp", ".h", ".cu", ".proto", ".py"):
                digest.update(f"{path} {path.stat().st_mtime_ns}\n".encode())
    return {"made_from": digest.hexdigest(), "root": str(ROOT), "cuda": args.cuda,
            "onednn": args.onednn,
            "caffe_src": str(args.caffe_src or ""), "python": args.python or ""}


def read_stamp():
    """What .venv was made from; {} where it is not whole."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if any(VENV.glob("lib/python3*/site-packages/caffe/_caffe.so")) else {}


def write_stamp(stamp):
    temporary = STAMP.with_suffix(".part")
    temporary.write_text(json.dumps(stamp))
    temporary.replace(STAMP)


def choices(args, stamp):
    """Options that are not given stay as they were when .venv was made."""
    args.cuda = stamp.get("cuda", 0) if args.cuda is None else args.cuda
    args.onednn = stamp.get("onednn", 1) if args.onednn is None else args.onednn
    args.python = args.python or stamp.get("python", "")
    if args.caffe_src is None:
        args.caffe_src = stamp.get("caffe_src", "")
    given = args.caffe_src not in ("", "pinned")
    args.caffe_src = Path(args.caffe_src).expanduser().resolve() if given else None
    return args


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--caffe-src", help="Caffe source tree to use instead (or: pinned)")
    parser.add_argument("--cuda", type=int, choices=(0, 1), help="1: compile for CUDA as well")
    parser.add_argument("--onednn", type=int, choices=(0, 1),
                        help="0: no oneDNN, all by Caffe and OpenBLAS")
    parser.add_argument("--python", help="Python to use (one that Boost.Python exists for)")
    parser.add_argument("--slurm", action="store_true",
                        help="install Slurm as well, for the tests of tests/slurm")
    stamp = read_stamp()
    args = choices(parser.parse_args(), stamp)
    if args.slurm:
        install_slurm()
    os.environ.pop("PYTHONPATH", None)  # pip would take for installed what is there
    wanted = fingerprint(args)
    if stamp == wanted:
        print("setup: nothing to do")
        return
    check_place(args.cuda)
    if args.caffe_src:
        caffe_tree.tree_kind(args.caffe_src)
    STAMP.unlink(missing_ok=True)
    install_debian_packages(DEBIAN_PACKAGES + (ONEDNN_PACKAGES if args.onednn else []))
    make_venv(choose_python(args.python), args.cuda)
    build_caffe(caffe_source(args.caffe_src), bool(args.cuda), args.onednn)
    write_stamp(wanted)
    print("setup: done; next: make check")


if __name__ == "__main__":
    try:
        main()
    except (SetupError, pypi.FetchError, caffe_tree.TreeError, OSError) as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again to go on")
