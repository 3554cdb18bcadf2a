from __future__ import annotations

from dataclasses import dataclass

from benchmarks.kinds import ClassifierKind, FactoryRequest, field_names, signature_names


class Made:
    def __init__(self, num_classes: int, depth: int = 1, cache: str = "", *, seed: int = 0) -> None:
        self.arguments = (num_classes, depth, cache, seed)


@dataclass
class Arguments:
    width: int = 1


def build(request: FactoryRequest) -> Made:
    return Made(request.num_classes, **request.params)


def parameters() -> set[str]:
    return signature_names(Made) | field_names(Arguments)


def test_what_the_runner_fills_in_is_not_open() -> None:
    kind = ClassifierKind("made", build, parameters, given=frozenset({"cache"}))
    assert parameters() == {"self", "num_classes", "depth", "cache", "seed", "width"}
    assert kind.open_parameters() == {"depth", "width"}
    assert kind.is_given("seed")
    assert kind.is_given("cache")
    assert not kind.is_given("depth")
    assert not ClassifierKind("made", build, parameters).is_given("cache")


def test_only_a_kind_with_a_model_is_open_to_another_one() -> None:
    without, with_one = (
        ClassifierKind("made", build, parameters, default_model=model) for model in (None, "minilm")
    )
    assert not without.takes_model
    assert with_one.takes_model
    assert with_one.open_parameters() - without.open_parameters() == {"model"}
