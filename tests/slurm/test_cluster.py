"""The private Slurm: it runs jobs, leaves nothing behind, and lets others be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.slurm import cluster as cluster_module
from tests.slurm.cluster import Cluster, ClusterError

STUBBORN = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 600' &) ; touch started; sleep 600"
OWNER = ("import sys, time; from tests.slurm.cluster import Cluster\n"
         "with Cluster() as cluster:\n"
         "    cluster.run('sbatch', '--wrap', sys.argv[1], cwd=sys.argv[2], check=True)\n"
         "    print(cluster.folder, flush=True); time.sleep(600)")


def processes_of(folder):
    """The processes that were started with, or for, this cluster's configuration."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "environ"]):
        own = process.info  # None in place of what is somebody else's
        words = [*(own["cmdline"] or []), (own["environ"] or {}).get("SLURM_CONF", "")]
        if any(str(folder) in word for word in words):
            found.append(process)
    return found


def names_of(folder):
    return [process.info["name"] for process in processes_of(folder)]


def wait_for(condition, seconds=30):
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def is_gone(folder):
    return not folder.exists() and not processes_of(folder)


def submit(cluster, folder, script, *options):
    return cluster.run("sbatch", "--parsable", "--mem=100", *options, "--wrap", script,
                       cwd=folder, check=True).stdout.strip()


def states(cluster, *jobs):
    """Their states, in order, as `squeue` tells them."""
    lines = cluster.run("squeue", "--states=all", "--noheader", "--format=%i %T",
                        check=True).stdout.splitlines()
    found = dict(line.split() for line in lines)
    return [found.get(job) for job in jobs]


def test_a_job_runs_to_its_end_and_its_state_stays_known(slurm, tmp_path):
    good = submit(slurm, tmp_path, "srun -n1 echo \"$SLURM_CPUS_PER_TASK cpus\" > out.txt",
                  f"--cpus-per-task={slurm.cpus}")
    bad = submit(slurm, tmp_path, "exit 3")
    assert wait_for(lambda: states(slurm, good, bad) == ["COMPLETED", "FAILED"])
    assert (tmp_path / "out.txt").read_text() == f"{slurm.cpus} cpus\n"
    job = slurm.run("scontrol", "show", "job", bad).stdout
    assert "ExitCode=3:0" in job and f"Partition={slurm.partition}" in job


def test_jobs_wait_for_memory_and_what_cannot_be_is_refused(slurm, tmp_path):
    half = f"--mem={slurm.memory * 2 // 3}"
    first = submit(slurm, tmp_path, "sleep 600", half)
    second = submit(slurm, tmp_path, "true", half)
    assert wait_for(lambda: states(slurm, first) == ["RUNNING"])
    assert states(slurm, second) == ["PENDING"]
    slurm.run("scancel", first, check=True)
    assert wait_for(lambda: states(slurm, first, second) == ["CANCELLED", "COMPLETED"])
    result = slurm.run("sbatch", f"--mem={slurm.memory + 1}", "--wrap", "true", cwd=tmp_path)
    assert result.returncode and "Memory specification can not be satisfied" in result.stderr


def test_each_job_has_its_own_fake_gpu_and_others_none(slurm, tmp_path):
    """On a machine of two CPUs, or more: two of the jobs run at once."""
    script = "srun -n1 sh -c 'echo $CUDA_VISIBLE_DEVICES' > $SLURM_JOB_ID.txt; " \
             "until [ -e stop ]; do sleep 0.1; done"
    jobs = [submit(slurm, tmp_path, script, "--gpus=1"),
            submit(slurm, tmp_path, script, "--gres=gpu:1")]
    third = submit(slurm, tmp_path, script, "--gpus=1")
    outputs = [tmp_path / f"{job}.txt" for job in jobs]
    assert wait_for(lambda: all(path.exists() and path.read_text() for path in outputs))
    assert sorted(path.read_text() for path in outputs) == ["0\n", "1\n"]
    assert states(slurm, *jobs, third) == ["RUNNING", "RUNNING", "PENDING"]
    (tmp_path / "stop").touch()
    assert wait_for(lambda: states(slurm, *jobs, third) == ["COMPLETED"] * 3)
    plain = submit(slurm, tmp_path, "echo \"[$CUDA_VISIBLE_DEVICES]\" > plain.txt")
    assert wait_for(lambda: states(slurm, plain) == ["COMPLETED"])
    assert (tmp_path / "plain.txt").read_text() == "[]\n"


def test_it_leaves_nothing_and_lets_others_of_its_name_be(slurm, tmp_path):
    """Neither a job that ignores SIGTERM, nor what the job put into the background."""
    others = []
    for name in ("munged", "slurmd", "slurmstepd"):
        shutil.copy2(shutil.which("sleep"), tmp_path / name)
        others.append(subprocess.Popen([tmp_path / name, "600"]))
    try:
        with Cluster(gpus=0) as second:
            folder = second.folder
            submit(second, tmp_path, STUBBORN)
            # The job's two: each is there a moment after its shell was started.
            assert wait_for(lambda: names_of(folder).count("sleep") == 2), names_of(folder)
            assert {"munged", "slurmctld", "slurmd"} <= set(names_of(folder))
        assert is_gone(folder), processes_of(folder)
        assert [other.poll() for other in others] == [None] * 3
        assert slurm.node_state() == "idle"
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_where_its_owner_is_ended(number, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", OWNER, STUBBORN, tmp_path], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        folder = Path(owner.stdout.readline().strip())
        assert folder.name.startswith("slurm-") and wait_for((tmp_path / "started").exists)
        assert len(processes_of(folder)) > 4
        owner.send_signal(number)
    assert wait_for(lambda: is_gone(folder)), processes_of(folder)


def test_the_body_s_error_comes_through_and_nothing_is_left():
    with pytest.raises(ZeroDivisionError), Cluster() as broken:
        folder = broken.folder
        assert 1 / 0
    assert is_gone(folder)


def test_one_that_does_not_come_up_shows_its_logs(monkeypatch):
    monkeypatch.setattr(cluster_module, "SLURM_CONF",
                        cluster_module.SLURM_CONF.replace("select/cons_tres", "select/nosuch"))
    start, cluster = time.monotonic(), Cluster()
    with pytest.raises(ClusterError, match="slurmctld ended with status 1") as error, cluster:
        pass
    assert "select/nosuch" in str(error.value) and "--- slurmctld.out" in str(error.value)
    assert time.monotonic() - start < 30
    assert is_gone(cluster.folder)


def test_without_slurm_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster_module, "search_path", lambda: "/nosuch")
    with pytest.raises(ClusterError, match="not installed: munged, .*make setup SLURM=1"), \
            Cluster():
        pass
