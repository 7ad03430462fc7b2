"""A private Slurm of one node, this machine, for tests.

Example:
    with Cluster() as cluster:
        cluster.run("sbatch", "--wait", "--wrap", "hostname")

munged, slurmctld and slurmd are Debian's (make setup SLURM=1).  All that they read and
write, and their key, is in one temporary folder; their ports are free ones.  A Slurm or
munge of the machine itself is neither used nor disturbed.  See supervisor.py for how
the daemons and the jobs end.  Works as root, and as a user for the user's own jobs.
"""

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PARTITION = "main"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")  # Slurm wants real ones
OWN_VARIABLES = ("SLURM", "SBATCH_", "SRUN_", "SQUEUE_", "SINFO_", "SCANCEL_")

SLURM_CONF = """
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
ReturnToService=2
# Jobs that ended stay in squeue for so many seconds: Snakemake reads their state there.
MinJobAge=3600
KillWait=2
# Looks for jobs to start every second.
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}{gres}
PartitionName={partition} Nodes=node Default=YES MaxTime=INFINITE State=UP \
DefMemPerCPU={memory_per_cpu}
"""


class ClusterError(Exception):
    """The private Slurm cannot be used; the message has the ends of its logs."""


def search_path():
    """PATH with the folders of the daemons."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_programs():
    """Those of PROGRAMS that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=search_path())]


def free_ports(count):
    """Ports of this machine that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def node_size():
    """CPUs, and memory in MB, as slurmd finds them here."""
    report = subprocess.run(["slurmd", "-C"], env={**os.environ, "PATH": search_path()},
                            check=True, capture_output=True, text=True).stdout
    found = dict(word.split("=", 1) for word in report.split() if "=" in word)
    return int(found["CPUs"]), int(found["RealMemory"])


class Cluster:
    """Is ready for jobs on entry, and gone on exit or where this process is killed.

    gpus: so many fake devices `gpu`, 0 to 4, which jobs get in CUDA_VISIBLE_DEVICES.
    timeout: seconds until the node must be idle.
    Has `environment`, for sbatch and the other programs; `folder`; `partition`; `cpus`;
    `memory`, in MB.  Raises ClusterError where it does not come up.
    """

    partition = PARTITION

    def __init__(self, gpus=2, timeout=60):
        self.gpus, self.timeout = gpus, timeout
        self.folder = self.supervisor = None

    @property
    def environment(self):
        own = {name: value for name, value in os.environ.items()
               if not name.startswith(OWN_VARIABLES)}
        return {**own, "PATH": f"{self.folder}/bin{os.pathsep}{search_path()}",
                "SLURM_CONF": f"{self.folder}/slurm.conf"}

    def __enter__(self):
        if missing := missing_programs():
            raise ClusterError(f"not installed: {', '.join(missing)}; run make setup SLURM=1")
        # Not in pytest's folder: a socket's path is short (108 bytes), and munged wants all
        # the folders above it open to everyone, and closed for writing (or sticky).
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        try:
            self.folder.chmod(0o755)
            self.configure()
            self.start()
            self.wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.supervisor:
            self.supervisor.stdin.close()
            self.supervisor.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def configure(self):
        """Writes the configuration, the key and the daemons' commands."""
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(mode=0o755)
        self.cpus, self.memory = node_size()
        controller_port, node_port = free_ports(2)
        (self.folder / "plugstack.conf").touch()
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(
            host=socket.gethostname().split(".")[0], user=pwd.getpwuid(os.geteuid()).pw_name,
            folder=self.folder, controller_port=controller_port, node_port=node_port,
            cpus=self.cpus, memory=self.memory, memory_per_cpu=self.memory // self.cpus,
            partition=PARTITION, gres=f" Gres=gpu:{self.gpus}" if self.gpus else ""))
        (self.folder / "gres.conf").write_text("".join(
            f"NodeName=node Name=gpu File={device}\n" for device in DEVICES[:self.gpus]))
        self.wrap_srun()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        (self.folder / "commands.json").write_text(json.dumps(self.commands(key)))

    def wrap_srun(self):
        """Puts an srun on the PATH that knows SLURM_CONF.

        Snakemake's executor hides SLURM_CONF from the srun of its jobs; on a cluster the
        configuration is found without, in /etc/slurm.
        """
        wrapper = self.folder / "bin/srun"
        srun = shutil.which("srun", path=search_path())
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {srun} "$@"\n')
        wrapper.chmod(0o755)

    def commands(self, key):
        """{daemon: (its command, a path that is there once it is ready)}, in order."""
        munged = ["munged", "--foreground", f"--key-file={key}",
                  f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
                  f"--seed-file={self.folder}/munge.seed"]
        configuration = ["-D", "-f", f"{self.folder}/slurm.conf"]
        return {"munged": (munged, f"{self.folder}/munge.socket"),
                "slurmctld": (["slurmctld", *configuration], None),
                "slurmd": (["slurmd", *configuration], None)}

    def start(self):
        with open(self.folder / "supervisor.out", "wb") as output:
            self.supervisor = subprocess.Popen(
                [sys.executable, SUPERVISOR, self.folder], env=self.environment, cwd="/",
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True)  # Ctrl-C is for the tests, which end it in order

    def run(self, *command, timeout=60, **keywords):
        """Runs a program of Slurm's; returns the finished process, its output as text."""
        return subprocess.run([*map(str, command)], env=self.environment, capture_output=True,
                              text=True, timeout=timeout, **keywords)

    def wait_until_idle(self):
        deadline = time.monotonic() + self.timeout
        ended = self.folder / "ended"
        while (state := self.node_state()) != "idle":
            time.sleep(0.1)
            reason = ended.read_text() if ended.exists() else f"its node is {state or 'not there'}"
            if ended.exists() or self.supervisor.poll() or time.monotonic() > deadline:
                raise ClusterError(f"Slurm does not come up: {reason}\n{self.logs()}")

    def node_state(self):
        """"idle", "mixed", … or "" where the controller does not answer."""
        try:
            return self.run("sinfo", "--noheader", "--format=%T", timeout=10).stdout.strip()
        except subprocess.TimeoutExpired:
            return ""

    def logs(self, lines=20):
        """The last lines of what each daemon said."""
        parts = []
        for path in sorted([*self.folder.glob("*.out"), *self.folder.glob("slurmd.log")]):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts += [f"--- {path.name}", *tail] if tail else []
        return "\n".join(parts)
