"""One job of a run: the command lines of a step, and a record of what they left.

Snakemake calls it in the folder of the run, with its output into the job's log.
What a killed workflow left running is waited for, never run twice.

Example:
    cd results/runs/val && python -m segspn.runs.job train_object dog 1
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from segspn import cli, files, locks, signals
from segspn.errors import UserError, script
from segspn.runs import settings, steps

POLL = 0.3  # s
BAR_INTERVAL = "20"  # s between the lines of a progress bar in a log


class Ended(Exception):
    """The job was asked to end, or the workflow that it is of has died."""


class Job:
    """A job of a run, in the folder of which it works."""

    def __init__(self, step, whose, threads, parent, ends):
        run = settings.Run.read(".")
        self.run = run.with_threads(threads or run.threads)
        self.name, self.whose = step, whose
        self.step, self.path = steps.STEPS[step], steps.job_path(step, whose)
        self.commands = self.step.commands(self.run, *whose)
        self._parent, self._ends = parent, ends  # signals.EndSignals

    def _note(self, **changes):
        """Writes the job's state, with these changes."""
        self._state |= changes
        files.write_text(Path("state") / f"{self.path}.json", json.dumps(self._state) + "\n")

    def _used(self):
        """Seconds of all times that this job was run, and MB of its largest process."""
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        return {"seconds": self._earlier + time.time() - self._state["begin"], "peak_mb": peak}

    def _check_end(self):
        """Raises Ended where this job is to end."""
        if os.getppid() != self._parent:
            raise Ended("ended by the end of the workflow")
        if self._ends.came:
            raise Ended(f"ended by {signal.Signals(self._ends.came[0]).name}")

    def perform(self):
        """Runs the commands, and notes what they left.  Raises UserError or Ended."""
        lock = Path("locks") / f"{self.path}.lock"
        # Held to the end: what another process of this job notes does not come between.
        with locks.first_free([lock], self._check_end) as (_, held):
            record = steps.record(self.run, self.name, self.whose)
            products = self.step.products(self.run, *self.whose)
            if not record.is_done(products):
                record.path.unlink(missing_ok=True)  # what it tells is not so any more
                self._perform(held, record, products)

    def _perform(self, held, record, products):
        earlier = settings.state(self.run, self.path)
        self._earlier = earlier.get("seconds", 0) if earlier.get("commands") == self.commands else 0
        self._state = {"job": [self.name, *self.whose], "commands": self.commands,
                       "begin": time.time(), "host": socket.gethostname(), "pid": os.getpid(),
                       "threads": self.run.threads}
        self._note(state="running")
        try:
            with record.making(products):
                self._run_commands(held)
                for path in products:
                    files.existing_file(path, "product of this step")
        except BaseException as error:
            self._note(state="ended" if isinstance(error, Ended) else "failed", error=str(error),
                       **self._used())
            raise
        self._note(state="done", **self._used())

    def _run_commands(self, lock):
        """The command lines, one after the other; they hold the job's lock as well."""
        with ExitStack() as stack:
            held, options = [lock], []
            if self.name == "report":
                write_notes(self.run, *self.whose)
            if self.step.on_gpu and self.run.gpus:
                number, held[1:] = self._gpu(stack)
                options = ["--gpu", number]
            for command in self.commands:
                self._run_command([*command, *options], held)

    def _gpu(self, stack):
        """(number, [lock]) of a GPU that no other job has.  Slurm has given one, and it is 0."""
        if self.run.cluster:
            return "0", []
        path, descriptor = stack.enter_context(
            locks.first_free(locks.gpu_locks(self.run.gpus), self._check_end))
        self._note(gpu=int(path.name))
        return path.name, [descriptor]

    def _run_command(self, command, held):
        """Runs a command line, which holds the locks as well; ends it when this job is to end."""
        print(f"\n== {cli.command(*command)}", flush=True)
        threads = str(self.run.threads)
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads,
                       "TQDM_MININTERVAL": BAR_INTERVAL}
        process = subprocess.Popen(
            [sys.executable, *command], cwd=files.PYTHON_SCRIPTS, env=environment,
            stdin=subprocess.DEVNULL, pass_fds=held, start_new_session=True,
            preexec_fn=signals.end_with_parent(signal.SIGTERM))
        while True:
            try:
                status = process.wait(POLL)
                break
            except subprocess.TimeoutExpired:
                try:
                    self._check_end()
                except Ended:
                    process.terminate()
                    process.wait()
                    raise
        if status:
            raise UserError(f"{command[0]} " + (
                f"was killed by {signal.Signals(-status).name}" if status < 0
                else f"ended with status {status}"))


def write_notes(run, sequence):
    """For the report of a video: the seconds and the command lines of the jobs before it."""
    before = [job for job in steps.jobs(run)
              if job[1][:1] == (sequence,) and job[0] not in ("report", "overlay")]
    seconds = {steps.describe(*job): settings.state(run, steps.job_path(*job)).get("seconds")
               for job in before}
    folder = run.folder / "report" / sequence
    files.write_text(folder / "timings.json", json.dumps(
        {what: value for what, value in seconds.items() if value is not None}))
    files.write_text(folder / "commands.json", json.dumps(
        {steps.describe(*job): cli.command(*command) for job in before
         for command in steps.STEPS[job[0]].commands(run, *job[1])}))


@script
def main():
    parser = cli.parser(__doc__)
    parser.add_argument("step", choices=list(steps.STEPS))
    parser.add_argument("sequence", nargs="?")
    parser.add_argument("object", nargs="?", type=int)
    parser.add_argument("--threads", type=cli.whole(), help="of this job (the run's)")
    parser.add_argument("--parent", type=int, default=os.getppid(),
                        help="process with which the job ends (the one that starts it)")
    args = parser.parse_args()
    whose = tuple(part for part in (args.sequence, args.object) if part is not None)
    with signals.EndSignals() as ends:
        job = Job(args.step, whose, args.threads, args.parent, ends)
        try:
            job.perform()
        except Ended as end:
            print(end, file=sys.stderr)
            sys.exit(143)


if __name__ == "__main__":
    main()
