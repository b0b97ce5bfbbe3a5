"""Opening an agent's log: the newest checkpoint that fits it, the tail folded, what is wrong named.

Checkpoints are disposable: one that does not belong to the log (another size, another crc) is thrown away
and the log is folded from an earlier one or from its beginning.
"""

from collections.abc import Iterator
from pathlib import Path

from memgpt_core import checkpoints
from memgpt_core.errors import LogCorrupt
from memgpt_core.events import Event
from memgpt_core.journal import states
from memgpt_core.log import Log
from memgpt_core.state import INITIAL, State, apply, fold


class OpenLog:
    """A log with the fold of all of it that can be read.

    Attributes:
        log: the file; it is read-only, and ends before the bad line, when one was found.
        state: the state at the end of the log as it was opened.
        corrupt: empty, or a sentence on the bad line.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the log in `folder`; `read_only` changes no file and keeps no checkpoint."""
        self.log = Log.open(folder / "run.jsonl", read_only=read_only)
        self.corrupt = ""
        self._read_only = read_only
        self._checkpoints = folder / "checkpoints"
        self.state = self._fold_all()

    def checkpoint(self, before: State, event: Event) -> None:
        """A journal's sink: keep a checkpoint each `checkpoints.EVERY` events."""
        if event.seq % checkpoints.EVERY == 0:
            self.keep(apply(before, event))

    def keep(self, state: State) -> None:
        """Keep a checkpoint of a state of this log."""
        if not self._read_only:
            checkpoints.save(self._checkpoints, state, self.log.size_at(state.seq), self._crc_at(state.seq))

    def state_at(self, seq: int) -> State:
        """The state after event `seq`, folded from the checkpoint before it; 0 is the empty state."""
        start = self.start(seq)
        return fold(self.log.events(start.seq + 1, seq + 1), start)

    def states_from(self, seq: int) -> Iterator[tuple[State, Event]]:
        """Each event after `seq` with the state it was committed on."""
        start = self.state if seq == self.state.seq else self.state_at(seq)
        return states(start, self.log.events(seq + 1))

    def start(self, seq: int) -> State:
        """The last state at or before event `seq` that a checkpoint has; without one the empty state."""
        checkpoint = checkpoints.latest(self._checkpoints, max_seq=seq) if seq >= checkpoints.EVERY else None
        return checkpoint.state if checkpoint else INITIAL

    def _crc_at(self, seq: int) -> int:
        return self.log.crc32 if seq == self.log.last_seq else self.log.prefix_crc(self.log.size_at(seq))

    def _fold_all(self) -> State:
        checkpoint = checkpoints.latest(self._checkpoints)
        start = INITIAL
        if checkpoint is not None:
            # One that reaches past the log, or has another crc, belongs to a log that was here before.
            within = checkpoint.state.seq <= self.log.last_seq
            if within and self.log.prefix_crc(checkpoint.size_bytes) == checkpoint.crc32:
                start = checkpoint.state
            elif not self._read_only:
                checkpoints.clear(self._checkpoints)
        try:
            state = fold(self.log.events(start.seq + 1), start)
        except LogCorrupt as corrupt:
            self.corrupt = str(corrupt)
            self.log.cut_at(corrupt.line)
            return fold(self.log.events(start.seq + 1), start)
        if state.seq - start.seq >= checkpoints.EVERY and not self._read_only:
            # A log that came without checkpoints, as a copied one does, is slow to open once and not again.
            checkpoints.save(self._checkpoints, state, self.log.size_bytes, self.log.crc32)
        return state
