"""What a run asks of Slurm, beside what Snakemake's executor does."""

import os
import subprocess
import time

from segspn.errors import UserError

PREFIX = "segspn"  # of the names of our jobs
POLL = 1  # s


def asked(*command):
    """The lines that a program of Slurm prints.  Raises UserError where it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed: start this where Slurm's programs are"
                        ) from error
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{command[0]} failed: {reason}")
    return result.stdout.splitlines()


def status_command():
    """"sacct" where Slurm keeps accounts in a database, else "squeue".

    Without a database sacct never tells that a job has ended.
    """
    lines = asked("scontrol", "show", "config")
    storage = [line.partition("=")[2].strip() for line in lines
               if line.startswith("AccountingStorageType")]
    return "sacct" if storage == ["accounting_storage/slurmdbd"] else "squeue"


def options(run, jobs, settings, seconds):
    """Snakemake's options.

    jobs: in the queue at a time; settings: "slurm_partition=…", …; seconds: between looks at
    the queue, at least.
    """
    return ["--executor", "slurm", "--jobs", str(jobs), "--latency-wait", "60", "--retries", "1",
            "--slurm-jobname-prefix", PREFIX, "--slurm-status-command", status_command(),
            "--slurm-init-seconds-before-status-checks", str(seconds),
            "--slurm-logdir", str(run.folder / "logs/slurm"),
            *(["--default-resources", *settings] if settings else [])]


def left_over(folder):
    """Ids of our jobs in the queue that an earlier run in this folder left."""
    rows = [line.split("|", 2) for line in asked("squeue", "--me", "--noheader",
                                                 "--format", "%A|%j|%Z")]
    here = os.path.realpath(folder)
    return [row[0] for row in rows
            if row[1].startswith(PREFIX) and os.path.realpath(row[2]) == here]


def cancel_left_over(folder):
    """Ends the jobs that a killed run left, and waits for that: trainings leave snapshots."""
    left = left_over(folder)
    if left:
        print(f"ending {len(left)} jobs of an earlier run", flush=True)
        asked("scancel", *left)
    while left_over(folder):
        time.sleep(POLL)
