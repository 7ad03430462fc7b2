"""Runs Snakemake over the jobs of a run, and tells what they do."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from segspn import files, locks
from segspn.errors import UserError
from segspn.runs import manifest, plan, settings, slurm, steps

SNAKEFILE = Path(__file__).with_name("Snakefile")
MEMORY_SHARE = 0.85  # of the machine's memory, for jobs
POLL = 0.5  # s


class Stopping:
    """While it is entered, a signal that asks for an end goes to Snakemake and its jobs.

    repeats  whether insist() asks again those that were started meanwhile
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, repeats):
        self.asked, self._repeats, self._process, self._earlier = False, repeats, None, {}

    def __enter__(self):
        for number in self.SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def start(self, command, output):
        """Snakemake's process, which leads a group of its own."""
        self._process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=self._prepare)
        if self.asked:  # while it was started
            self._send(signal.SIGINT)
        return self._process

    @staticmethod
    def _prepare():
        locks.end_with_parent(signal.SIGKILL)()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background ignores it

    def _stop(self, number, frame):
        if not self.asked and self._process:
            # Snakemake waits for its jobs here, and cancels those on a cluster.
            self._send(signal.SIGINT)
        self.asked = True

    def _send(self, number):
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def insist(self):
        """Asks again: a job that was just being started has not heard it."""
        if self.asked and self._repeats:
            self._send(signal.SIGTERM)


class Workflow:
    """A run's jobs on this machine or a cluster.

    jobs             at a time
    cluster_options  "slurm_partition=…", …
    memory_mb        of this machine
    look_every       seconds between looks at the cluster's queue
    """

    def __init__(self, run, jobs, cluster_options, memory_mb, look_every):
        self.run, self.jobs, self._options = run, jobs, cluster_options
        self._memory_mb, self._look_every = memory_mb, look_every
        self.all_jobs = steps.jobs(run)

    def manifest(self, job):
        return self.run.folder / "done" / f"{steps.job_path(*job)}.json"

    def log(self, job):
        return self.run.folder / "logs" / f"{steps.job_path(*job)}.log"

    @contextmanager
    def alone(self):
        """While it is entered, no other process runs this run, or has to do with its videos.

        Models and maps of a video are shared by all runs of it.  Raises UserError.
        """
        wanted = {self.run.folder / ".lock": self.run.folder, **{
            settings.RUNS / ".locks" / video: f"video {video}" for video in self.run.videos}}
        if self.run.generic:
            wanted[settings.RUNS / ".locks/.generic"] = "the generic training"
        with ExitStack() as stack:
            for path, what in wanted.items():
                if stack.enter_context(locks.try_lock(path)) is None:
                    raise UserError(f"another run is at work on {what}; "
                                    "wait for its end, or stop it")
            yield

    @contextmanager
    def as_before(self):
        """For a dry run: afterwards, run.json is what it was, or is not there."""
        path = self.run.folder / settings.SETTINGS
        before = path.read_bytes() if path.is_file() else None
        try:
            yield
        finally:
            if before is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != before:
                files.write_bytes(path, before)

    def prepare(self):
        """Writes run.json, and for each video what is on disk of it."""
        self.run.write()
        for sequence in self.run.videos:
            data = self.run.data_set
            paths = [*data.frames(sequence), data.annotations / sequence / "00000.png"]
            self._write_listing(steps.video_file(self.run, sequence), paths)
            self._write_listing(steps.truth_file(self.run, sequence),
                                files.images_in(data.annotations / sequence, ".png"))
        if self.run.generic:
            pairs = [pair for name in self.run.generic["lists"]
                     for pair in self.run.data_set.listed(name)]
            self._write_listing(steps.generic_file(self.run), [
                path for pair in pairs for path in pair])

    @staticmethod
    def _write_listing(path, listed):
        """Writes what is on disk of these files, unless it is what was written before."""
        text = json.dumps(files.listing(listed)) + "\n"
        if not path.is_file() or path.read_bytes() != text.encode():
            files.write_text(path, text)

    def out_of_step(self):
        """The jobs whose manifest is there, but not all of the products that it names."""
        return [job for job in self.all_jobs
                if self.manifest(job).is_file() and manifest.fault(self.manifest(job))]

    def _snakemake(self, *options):
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory",
            str(self.run.folder), "--nolock", "--rerun-incomplete", "--keep-going",
            "--rerun-triggers", "mtime", "input", "params", "--scheduler", "greedy", "--nocolor",
            *options]
        again = [str(self.manifest(job).relative_to(self.run.folder)) for job in self.out_of_step()]
        return [*command, *(["--forcerun", *again] if again else [])]

    def _where(self):
        """Snakemake's options for where jobs run, and how many."""
        if self.run.cluster:
            return slurm.options(self.run, self.jobs, self._options, self._look_every)
        return ["--cores", str(self.jobs * self.run.threads), "--resources",
                f"mem_mb={int(MEMORY_SHARE * self._memory_mb)}", f"gpu={len(self.run.gpus)}"]

    def pending(self):
        """The jobs that a run would do now."""
        result = subprocess.run(self._snakemake("--summary"), capture_output=True, text=True)
        if result.returncode:
            raise UserError(f"Snakemake cannot plan the run: {result.stderr.strip()[-2000:]}")
        rows = [line.split("\t") for line in result.stdout.splitlines()]
        outputs = {row[0] for row in rows if row[-1] not in ("no update", "plan")}
        return [job for job in self.all_jobs
                if str(self.manifest(job).relative_to(self.run.folder)) in outputs]

    def plan(self):
        """The jobs to do, their expected hours and disk, as a table.  Raises UserError."""
        pending = self.pending()
        return plan.table(self.run, pending, self.jobs, plan.time_here(self.run, pending))

    def perform(self):
        """Runs what is to be done.  Raises UserError where jobs failed, KeyboardInterrupt."""
        begin = time.time()
        print(f"{len(self.all_jobs)} jobs, {self.jobs} at a time, "
              f"{self.run.threads} threads each; logs in {self.run.folder / 'logs'}", flush=True)
        log = self.run.folder / "logs/snakemake.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if self.run.cluster:
            slurm.cancel_left_over(self.run.folder)
        with log.open("a") as output, Stopping(repeats=not self.run.cluster) as stopping:
            process = stopping.start(self._snakemake(*self._where()), output)
            self._follow(process, begin, stopping.insist)
        if stopping.asked:
            raise KeyboardInterrupt
        self._judge(process.returncode, begin, log)

    def _follow(self, process, begin, insist):
        """A line a job that ends, and a bar of all on a terminal, until Snakemake ends."""
        told = set()
        with tqdm(total=len(self.all_jobs), unit="job", dynamic_ncols=True, disable=None,
                  desc=self.run.name) as bar:
            while True:
                ended = process.poll() is not None
                states = self.states(begin)
                for job, state in states.items():
                    if state["state"] != "running" and (job, state["begin"]) not in told:
                        told.add((job, state["begin"]))
                        bar.write(self._line(job, state))
                running = [steps.describe(*job) for job, state in states.items()
                           if state["state"] == "running"]
                bar.n = sum(self.manifest(job).is_file() for job in self.all_jobs)
                bar.set_postfix_str(", ".join(running)[:60])
                if ended:
                    return
                time.sleep(POLL)
                insist()

    def states(self, begin):
        """{job: state} of the jobs that began at or after this time."""
        states = {job: settings.state(self.run, steps.job_path(*job)) for job in self.all_jobs}
        return {job: state for job, state in states.items() if state and state["begin"] >= begin}

    def _line(self, job, state):
        """What is told of a job that ended."""
        what = steps.describe(*job)
        if state["state"] == "done":
            return f"{what}: {plan.duration(state['seconds'])}, {state['peak_mb']:.0f} MB"
        how = "killed" if state["state"] == "running" else state["state"]
        return f"{what}: {how}: {self._reason(job, state)} (log: {self.log(job)})"

    def _reason(self, job, state):
        """The error that the last command line of a job wrote into its log, or the job's own."""
        with suppress(OSError):
            text = self.log(job).read_text(errors="replace").rpartition("\n== ")[2]
            errors = [line for line in text.splitlines() if line.startswith("error: ")]
            if errors:
                return errors[0].removeprefix("error: ")
        return state.get("error", "it ended without a word")

    def _judge(self, status, begin, log):
        """Raises UserError where not all is done, and says which jobs failed."""
        missing = [job for job in self.all_jobs if not self.manifest(job).is_file()]
        if not status and not missing:
            return
        failed = {job: state for job, state in self.states(begin).items()
                  if state["state"] != "done"}
        for job, state in failed.items():
            print(self._line(job, state), file=sys.stderr)
        raise UserError(
            f"{len(failed)} jobs failed, {len(missing)} of {len(self.all_jobs)} are not done; "
            + ("mend what their logs tell" if failed else f"Snakemake says why in {log}")
            + "; the same command goes on")

    def results(self):
        """What the run left for people to look at, a line each, and the next command."""
        folder = self.run.folder
        left = {"J and F": folder / "evaluation", "labels": folder / "labels"}
        if self.run.whole:
            left["submission"] = folder / "submission.zip"
        for sequence in self.run.videos if len(self.run.videos) == 1 else ():
            left |= {"video": folder / "overlay" / sequence / "overlay.mp4",
                     "report": folder / "report" / sequence / "report.html"}
        lines = [f"{what}: {path}" for what, path in left.items() if path.exists()]
        if self.run.videos:
            return [*lines, f"next: open {folder / 'overview.html'} in a browser"]
        model = os.path.relpath(steps.generic_model(self.run), files.ROOT)
        return [f"next: make davis BACKBONE={self.run.backbone} WEIGHTS={model} SPLIT=<list of "
                "videos that the generic training has not seen>"]
