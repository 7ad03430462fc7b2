"""Scripts run as users run them, without the second that a new Python takes for its libraries.

Each has a process of its own, forked from one that has loaded them; the project's packages
are loaded anew, from where the script is.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = os.fspath(Path(__file__).resolve().parents[2])
LIBRARIES = ("caffe", "cv2", "google.protobuf.text_format", "imageio_ffmpeg", "jinja2",
             "matplotlib.backends.backend_agg", "PIL.Image", "psutil", "requests",
             "skimage.measure", "tabulate", "tqdm")
OWN = {"ResNetF", "segspn", "spn", "tests", "tools"}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(LIBRARIES)


def run(what, *arguments, cwd, env=None, timeout=300, preexec_fn=None):
    """Runs a script, or a module by its dotted name; a subprocess.CompletedProcess with texts.

    With a preexec_fn, which cannot be sent to another process, it is a new Python after all.
    """
    what, cwd, env = os.fspath(what), os.fspath(cwd), dict(env or os.environ)
    arguments = [os.fspath(word) if isinstance(word, os.PathLike) else str(word)
                 for word in arguments]
    if preexec_fn:
        return subprocess.run([sys.executable, what, *arguments], cwd=cwd, env=env, text=True,
                              timeout=timeout, preexec_fn=preexec_fn, capture_output=True)
    with TemporaryDirectory() as folder:
        texts = [Path(folder, name) for name in ("stdout", "stderr")]
        process = PROCESSES.Process(target=_become, args=(what, arguments, cwd, env, texts))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([what, *arguments], timeout)
        return subprocess.CompletedProcess(
            [what, *arguments], process.exitcode, *(path.read_text() for path in texts))


def _become(what, arguments, cwd, env, texts):
    """Makes this process that of a script, and runs it."""
    for descriptor, path in enumerate(texts, 1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    is_file = what.endswith(".py")
    sys.argv = [what, *arguments]
    sys.path[:] = [os.path.dirname(what) if is_file else cwd,
                   *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)),
                   *(path for path in sys.path if path != ROOT)]
    if is_file:
        runpy.run_path(what, run_name="__main__")
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
