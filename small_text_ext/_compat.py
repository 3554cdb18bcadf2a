"""Where small-text's public interface does not reach: each private name that is used, and why."""

from __future__ import annotations

from typing import Any

from small_text_ext._extras import require_extra


class _WithoutSetFit:
    """Stands in where the extra is missing: small-text has no such class then."""

    def __init__(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        require_extra("setfit", "setfit")


def _setfit_classification() -> Any:  # noqa: ANN401 - small-text's class
    try:
        from small_text import SetFitClassification
    except ImportError:
        return _WithoutSetFit
    return SetFitClassification


_SetFitClassification: Any = _setfit_classification()


class HookedSetFitClassification(_SetFitClassification):
    """small-text's SetFit classifier, with callbacks for the trainer it makes.

    small-text makes setfit's trainer in ``_call_setfit_trainer``, and passes no callbacks; its
    ``trainer_kwargs`` are those of the training arguments. Only that method is replaced.
    """

    def _callbacks(self, sub_train: Any) -> list[Any]:  # noqa: ANN401
        """Return the callbacks of a fit on the given texts and labels."""
        return []

    def _call_setfit_trainer(self, sub_train: Any, sub_valid: Any, train_args: Any) -> None:  # noqa: ANN401
        setfit = require_extra("setfit", "setfit")
        trainer = setfit.Trainer(
            model=self.model,
            args=train_args,
            train_dataset=sub_train,
            eval_dataset=sub_valid,
            callbacks=self._callbacks(sub_train),
        )
        self._train_with(trainer, train_args)

    def _train_with(self, trainer: Any, train_args: Any) -> None:  # noqa: ANN401
        """Run a trainer."""
        trainer.train(args=train_args)
