"""What an earlier run of a training left: its snapshots, and the record of what it is of."""

import json

from segspn import done
from segspn.errors import UserError

KINDS = {"fingerprint": str, "seed": int, "keep_snapshots": bool, "finished": int, "model": list}
NEEDED = ("fingerprint", "seed")  # of a record; the others may be missing


class EarlierRun:
    """The snapshots of an earlier run, and what can come of them.

    path        of its record, <prefix>_run.json: its `fingerprint` and `seed` among others,
                `keep_snapshots`, and, when all is done that is to do in the end, `finished`,
                its last iteration, and `model`, what its model is (done.seen).  Runs of before
                there was `keep_snapshots` kept them.
    snapshots   the Snapshots of the training
    record      what it says, a dict; None where there is no such file, or it is damaged
    models      iterations that have a model
    """

    def __init__(self, path, snapshots):
        self.path, self._snapshots = path, snapshots
        self.models, self._whole = snapshots.models(), snapshots.iterations()
        self._is_damaged = False
        self.record = self._read() if path.is_file() else None

    def _read(self):
        try:
            record = json.loads(self.path.read_text())
            kinds = {name: kind for name, kind in KINDS.items()
                     if name in record or name in NEEDED}
            if all(type(record[name]) is kind for name, kind in kinds.items()):
                return record
        except (ValueError, TypeError, KeyError):  # ValueError: neither JSON nor UTF-8
            pass
        self._is_damaged = True
        return None

    @property
    def last_model(self):
        return self._snapshots.model(self.models[-1])

    def check_known(self):
        """Raises UserError where nothing says what the snapshots are of: a user put them there."""
        if self.record is None and not self._is_damaged:
            raise UserError(f"{self.last_model} has no {self.path.name} beside it, which would "
                            "say what it is of; move it away, or delete it with --restart")

    def obstacle(self, fingerprints, seed, iterations):
        """Why a run of this seed and length cannot go on from it; None where it can.

        fingerprints: the record's must be one of them.  seed: None for that of the earlier run.
        """
        if self._is_damaged:
            return f"{self.path}, which says what the run to go on with is of, is damaged"
        if self.record and seed not in (None, self.record["seed"]):
            return f"--seed {seed}: the run to go on with has the seed {self.record['seed']}"
        if self.record and self.record["fingerprint"] not in fingerprints:
            return (f"the run to go on with, {self._snapshots.prefix}, began with other weights, "
                    "or has another net, solver or first frame")
        if self._is_replaced(iterations):
            return f"{self._snapshots.model(iterations)} is another than was written"
        if self.start(iterations) is not None:
            return None
        if self.models[-1] > iterations:
            return (f"{self.last_model} is beyond iteration {iterations}, of which no model was "
                    "kept")
        return (f"{self.last_model} has no .solverstate to go on from (only --keep-snapshots keeps "
                "that of a finished training)")

    def _is_replaced(self, iterations):
        """Whether the model of a finished training is not the one that it left."""
        model = (self.record or {}).get("model")
        return (model is not None and self.record.get("finished") == iterations in self.models
                and not done.is_as_seen(self._snapshots.model(iterations), model))

    def start(self, iterations):
        """The iteration that a run of this length begins at; None where there is no such.

        It is `iterations` where the model of just that iteration is there.
        """
        # A model without a state counts where a record says what it is of.
        if iterations in (self.models if self.record else self._whole):
            return iterations
        return self._whole[-1] if self._whole and self._whole[-1] < iterations else None

    def lacks_its_end(self, iterations):
        """Whether it was killed between its last model and the end of the work."""
        return (self.record is not None and "keep_snapshots" in self.record
                and self.models[-1] == iterations and self.record.get("finished") != iterations)
