"""Curves in an experiment tracker, as units end: TensorBoard, MLflow or Weights & Biases.

The parent of a run reads result files and passes them on, so workers need nothing of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.export import flatten_record
from benchmarks.results import RoundRecord, UnitResult, read_result
from benchmarks.suggestions import unknown_name
from small_text_ext._extras import require_extra

FOLDER = "tracking"
"""Below the results, where a tracker without a server keeps its files."""

# MLflow refuses longer ones; lists of classes can be.
_LONGEST_PARAMETER = 500


LogResult = Callable[[UnitResult], None]


@dataclass(frozen=True)
class Tracker:
    """What is told of every unit that ends.

    Parameters
    ----------
    log_result : callable or None, default=None
        Takes the result of a unit that passed; None tracks nothing.
    """

    log_result: LogResult | None = None

    def log(self, path: Path) -> str | None:
        """Pass on a result file; one of a failed unit is left out.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        str or None
            Why it could not be passed on. A server that does not answer for a minute must not end
            a run of hours, whose results are in their files.
        """
        if self.log_result is None:
            return None
        try:
            result = read_result(path)
            if result.status == "passed":
                self.log_result(result)
        except Exception as error:  # whatever a tracker raises, its user is told
            return f"{path} was not tracked: {type(error).__name__}: {error}"
        return None


def open_tracker(name: str | None, folder: Path) -> Tracker:
    """Open a tracker for a run.

    Parameters
    ----------
    name : str or None
        A name in :data:`TRACKERS`; None tracks nothing.
    folder : Path
        The results folder.

    Returns
    -------
    Tracker
        To be told of result files.

    Raises
    ------
    SuiteError
        If the name is unknown.
    MissingExtraError
        If its package is not installed.
    """
    if name is None:
        return Tracker()
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    return Tracker(TRACKERS[name](folder / FOLDER))


def curve_points(record: RoundRecord) -> tuple[int, dict[str, float]]:
    """Return where a round stands on the axis, and its numbers.

    Parameters
    ----------
    record : RoundRecord
        A round.

    Returns
    -------
    step : int
        The number of labels; gradient steps where the rounds are epochs of one fit.
    values : dict of str to float
        Metrics, and ``seconds_<step>``; what was not measured is left out.
    """
    step = record.num_labeled if record.step is None else record.step
    seconds = {f"seconds_{name}": value for name, value in record.seconds.items()}
    numbers = {**record.metrics, **seconds}
    return step, {name: value for name, value in numbers.items() if value is not None}


def tensorboard_logger(folder: Path) -> LogResult:
    """Return what writes a unit as event files of TensorBoard, below ``<folder>/tensorboard``."""
    require_extra("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    def log(result: UnitResult) -> None:
        place = folder / "tensorboard" / result.spec.relative_path.with_suffix("")
        # Events of an earlier try would be drawn into the same curve.
        shutil.rmtree(place, ignore_errors=True)
        with SummaryWriter(str(place)) as writer:
            writer.add_text("spec", _code_block(result))
            for record in result.rounds:
                step, values = curve_points(record)
                for name, value in values.items():
                    writer.add_scalar(name, value, step)

    return log


def _code_block(result: UnitResult) -> str:
    lines = result.spec.model_dump_json(indent=1).splitlines()
    return "\n".join(f"    {line}" for line in lines)


def mlflow_logger(folder: Path) -> LogResult:
    """Return what logs a unit as a run of MLflow.

    It goes to the server that ``MLFLOW_TRACKING_URI`` names; else to files in ``<folder>/mlflow``.
    """
    library = require_extra("mlflow", "mlflow")
    place = os.environ.get("MLFLOW_TRACKING_URI")
    if place is None:
        place = (folder / "mlflow").resolve().as_uri()
        # MLflow 3 asks for it: a data base would need packages that only its server has.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = library.MlflowClient(tracking_uri=place)

    def log(result: UnitResult) -> None:
        run_id = _mlflow_run(client, result)
        for name, value in _parameters(result).items():
            client.log_param(run_id, name, value[:_LONGEST_PARAMETER])
        for record in result.rounds:
            step, values = curve_points(record)
            for name, number in values.items():
                client.log_metric(run_id, name, number, step=step)
        client.set_terminated(run_id)

    return log


def _mlflow_run(client: Any, result: UnitResult) -> str:  # noqa: ANN401
    known = client.get_experiment_by_name(result.spec.suite)
    experiment = client.create_experiment(result.spec.suite) if known is None else known
    number = experiment if isinstance(experiment, str) else experiment.experiment_id
    tags = {"spec_hash": result.spec_hash}
    return str(client.create_run(number, run_name=result.spec.name, tags=tags).info.run_id)


def wandb_logger(folder: Path) -> LogResult:
    """Return what logs a unit as a run of Weights & Biases, in a project called as the suite.

    ``WANDB_MODE=offline`` keeps it in ``<folder>/wandb``, to be sent by ``wandb sync``.
    """
    library = require_extra("wandb", "wandb")

    def log(result: UnitResult) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        run = library.init(
            project=result.spec.suite,
            name=result.spec.name,
            group=result.spec.dataset.id,
            config=_parameters(result),
            dir=str(folder),
        )
        for record in result.rounds:
            step, values = curve_points(record)
            run.log(values, step=step)
        run.finish()

    return log


def _parameters(result: UnitResult) -> dict[str, str]:
    flat: Mapping[str, Any] = flatten_record(result.spec)
    return {name: str(value) for name, value in flat.items() if value is not None}


TRACKERS: Mapping[str, Callable[[Path], LogResult]] = {
    "tensorboard": tensorboard_logger,
    "mlflow": mlflow_logger,
    "wandb": wandb_logger,
}
"""Trackers by name."""
