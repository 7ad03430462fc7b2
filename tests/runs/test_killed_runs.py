"""A run that is ended and killed again and again ends with what an undisturbed one leaves.

The tests are stages of one run, in their order: each begins it by the same command.
"""

import os
import random
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.workflows import ITERATIONS, Project, ended, wait_until

SEED = int(os.environ.get("SEED", "0"))  # another one kills at other times
RANDOM = random.Random(SEED)
pytestmark = pytest.mark.slow
BAR = "%|"  # of a progress bar: the training is in its loop, and has set its signal handlers


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("killed") / "project")
    project.resumed = set()  # (training, iteration that it went on from)
    return project


@pytest.fixture(autouse=True)
def seed_is_shown():
    print(f"random times by seed {SEED}")


def last_parts(project):
    """{log of a training: what it tells of its last command line}."""
    return {path: path.read_text().rpartition("\n== ")[2]
            for path in (project.folder / "logs").glob("train_*/**/*.log")}


def in_training(project):
    """The logs of trainings that are in their loop."""
    return [path for path, text in last_parts(project).items()
            if BAR in text and not re.search("wrote|stopped at|already at", text)]


def pause(seconds):
    time.sleep(RANDOM.uniform(0, seconds))


def catch(project, process, *words):
    """A process of the run whose command line has one of the words, when there is one."""
    def found():
        assert process.poll() is None, process.communicate()
        return project.processes(*words)
    return wait_until(found, words)[0]


def catch_training(project, process):
    """When a training is in its loop: the logs of those that are, a moment later."""
    # Logs of an earlier run's trainings tell nothing of this one's: some process must have begun.
    catch(project, process, "solve.py")
    wait_until(lambda: process.poll() is not None or in_training(project), "a training")
    pause(0.5)
    assert process.poll() is None, process.communicate()
    return in_training(project)


def kill(process):
    with suppress(psutil.NoSuchProcess):
        process.kill()


def error_of(errors):
    """The one error line of a run."""
    line, = (line for line in errors.splitlines() if line.startswith("error: "))
    assert "Traceback" not in errors
    return line


def check(project, trainings=()):
    """What must be so after each end; these trainings have left a snapshot, or are done."""
    project.check()
    texts = last_parts(project)
    for path in trainings:
        assert re.search(r"stopped at iteration \d+; snapshot|wrote |already at", texts[path])
    for path, text in texts.items():
        project.resumed |= {(path, int(n)) for n in re.findall(
            r"^going on from iteration (\d+)$", text, re.MULTILINE)}


def failed_jobs(errors):
    """[(job, log)] that a run names as failed."""
    return re.findall(r"^(.+?): (?:failed|killed): .* \(log: (.+)\)$", errors, re.MULTILINE)


def test_ctrl_c_ends_in_order_and_a_second_run_is_refused(project):
    process = project.start()
    trainings = catch_training(project, process)
    status, output, errors = project.run()
    assert status == 1 and "another run is at work on" in error_of(errors) and not output
    assert len(errors.splitlines()) == 1
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    status, output, errors = ended(process)
    assert status == 130 and "run the same command again to go on" in errors, errors
    assert "Traceback" not in errors
    print(f"ended {time.monotonic() - begin:.1f} s after Ctrl-C")
    check(project, trainings)
    assert trainings and project.states_of_solvers()


def test_killed_at_any_time(project):
    for _ in range(3):
        process = project.start()
        pause(6)
        assert process.poll() is None
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
        check(project)


def test_killed_while_it_trains(project):
    process = project.start()
    trainings = catch_training(project, process)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    check(project, trainings)


def test_snakemake_killed(project):
    process = project.start()
    trainings = catch_training(project, process)
    kill(catch(project, process, "-m snakemake"))
    status, _, errors = ended(process)
    assert status == 1 and "the same command goes on" in error_of(errors)
    check(project, trainings)


def test_all_of_snakemake_and_its_jobs_killed(project):
    process = project.start()
    trainings = catch_training(project, process)
    os.killpg(catch(project, process, "-m snakemake").pid, signal.SIGKILL)
    status, _, errors = ended(process)
    assert status == 1 and "the same command goes on" in error_of(errors)
    check(project, trainings)


def test_a_job_killed_and_then_the_run_asked_to_end(project):
    """As from a shell's background, which ignores SIGINT."""
    process = project.start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    trainings = catch_training(project, process)
    job = catch(project, process, "segspn.runs.job train_")
    kill(job)
    job.wait(60)
    pause(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    status, _, errors = ended(process)
    assert status == 130 and "run the same command again to go on" in errors, errors
    check(project, trainings)


def test_a_training_killed_stops_no_other_job(project):
    process = project.start()
    catch_training(project, process)
    training = catch(project, process, "solve.py")
    kind, video, name = re.search(r"testnet_(\w+)/(\w+)/solver_?(\d*)\.",
                                  " ".join(training.cmdline())).groups()
    kill(training)
    status, _, errors = ended(process)
    assert status == 1 and "1 job failed" in error_of(errors), errors
    (job, log), = failed_jobs(errors)
    assert job == (f"train object {video} {name}" if name else f"train foreground {video}")
    assert "was killed by SIGKILL" in errors and log.startswith(str(project.folder / "logs/train_"))
    other, = {"toy", "disk"} - {video}
    assert {f"{step}/{other}" for step in ("label", "overlay", "report")} <= project.done()
    assert f"refine/{video}" not in project.done()
    check(project)


def test_killed_while_it_infers(project):
    process = project.start()
    catch(project, process, "infer_test_")
    pause(1)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    check(project)


@pytest.mark.parametrize("script, folder", [
    ("infer_test_", "ResNetF_fgbg"), ("refine_spn.py", f"SPN_{ITERATIONS}"),
    ("segment_instances.py", "runs/val/labels")])
def test_a_step_killed(project, script, folder):
    shutil.rmtree(project.root / "results" / folder, ignore_errors=True)  # there is work for it
    process = project.start()
    kill(catch(project, process, script))
    status, _, errors = ended(process)
    assert status == 1 and "was killed by SIGKILL" in errors and error_of(errors)
    (_, log), = failed_jobs(errors)
    assert script in Path(log).read_text()
    check(project)


def test_the_end_is_that_of_an_undisturbed_run(project, finished):
    project.succeed()
    check(project)
    assert project.products() == finished.reference
    iterations = sorted(iteration for _, iteration in project.resumed)
    print(f"trainings went on from {iterations}")
    assert len(iterations) > 1 and iterations[0] > 0 and iterations[-1] < ITERATIONS
    assert not project.states_of_solvers()
    states = project.states()
    assert project.run()[0] == 0 and project.states() == states
