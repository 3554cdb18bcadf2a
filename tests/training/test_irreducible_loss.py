"""Irreducible losses by item: arithmetic, look-up, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from small_text_ext.training.irreducible_loss import (
    IrreducibleLosses,
    fitted_temperature,
    irreducible_losses,
    item_keys,
    losses_of,
    resolved_temperature,
    tempered,
)

TEXTS = ["one", "two", "three", "two"]


def known(probabilities: bool = True) -> IrreducibleLosses:
    labels = np.array([0, 1, 1, 0])
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.4, 0.6]])
    made = irreducible_losses(item_keys(TEXTS), labels, p, temperature=1.0)
    if probabilities:
        return made
    return IrreducibleLosses(made.keys, made.labels, made.losses)


def test_losses_are_minus_the_log_of_the_labels_probability() -> None:
    np.testing.assert_allclose(known().losses, -np.log([0.9, 0.6, 0.8, 0.4]))
    multi = losses_of([[0.9, 0.2]], np.array([[1, 0]]))
    np.testing.assert_allclose(multi, -np.log([0.9]) - np.log([0.8]))
    clipped = losses_of([[1.0, 0.0], [1.0, 0.0]], np.array([0, 1]), smallest=0.01)
    np.testing.assert_allclose(clipped, [0, -np.log(0.01)])


def test_items_are_found_by_content_in_any_order() -> None:
    given = known().of(item_keys(["three", "one"]), np.array([1, 0]))
    np.testing.assert_allclose(given, -np.log([0.8, 0.9]))


def test_a_text_may_have_two_labels() -> None:
    for made in (known(), known(probabilities=False)):
        given = made.of(item_keys(["two", "two"]), np.array([0, 1]))
        np.testing.assert_allclose(given, -np.log([0.4, 0.6]))


def test_a_changed_label_is_judged_by_the_probabilities_where_there_are_any() -> None:
    given = known().of(item_keys(["one", "three"]), np.array([1, 1]))
    np.testing.assert_allclose(given, -np.log([0.1, 0.8]))
    with pytest.raises(ValueError, match=r"Item 0 has the label 1, .* is for 0 \(1 such"):
        known(probabilities=False).of(item_keys(["one", "three"]), np.array([1, 1]))


def test_other_texts_are_an_error() -> None:
    with pytest.raises(KeyError, match=r"Item 1 has no irreducible loss \(2 of 3 items"):
        known().of(item_keys(["one", "four", "five"]), np.array([0, 0, 0]))


def test_keys_tell_all_kinds_of_items_apart() -> None:
    vectors = np.eye(2, dtype=np.float32)
    tokenized = [(torch.tensor([[1, 2]]), torch.tensor([[1, 1]]), label) for label in (0, 1)]
    pairs = [("a", "b"), ("a", "c"), ("ab", "")]
    keys = [*item_keys(vectors), *item_keys(pairs), *item_keys(["ab", "\ud800"])]
    assert len(set(keys)) == len(keys)
    assert len(set(item_keys(tokenized))) == 1, "a label is no part of an item"
    assert item_keys(vectors) == item_keys(vectors.astype(np.float64))


@pytest.mark.parametrize("probabilities", [True, False])
def test_files_hold_what_was_saved(tmp_path: Path, probabilities: bool) -> None:
    path = tmp_path / "folder/losses.npz"
    written = known(probabilities)
    written.save(path)
    read = IrreducibleLosses.load(path)
    assert read.keys == written.keys
    np.testing.assert_array_equal(read.losses, written.losses)
    assert (read.probabilities is not None) == probabilities
    assert read.fingerprint == written.fingerprint
    assert [file.name for file in path.parent.iterdir()] == ["losses.npz"]


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "losses.npz"
    known().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="no whole file of irreducible losses"):
        IrreducibleLosses.load(path)
    for damaged in (b"", content[:7], content.replace(b"header", b"heeder")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no whole file of irreducible losses"):
            IrreducibleLosses.load(path)
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            assert IrreducibleLosses.load(path).fingerprint == known().fingerprint
        except ValueError as error:
            assert "irreducible losses" in str(error) or "says fingerprint" in str(error)
    with pytest.raises(FileNotFoundError):
        IrreducibleLosses.load(tmp_path / "none.npz")
    known().save(path)
    with np.load(path) as saved:
        arrays: dict[str, Any] = {name: saved[name] for name in saved.files}
    np.savez(path, **{**arrays, "losses": arrays["losses"] + 1})
    with pytest.raises(ValueError, match="says fingerprint"):
        IrreducibleLosses.load(path)


def test_the_temperature_of_an_overconfident_model_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    truth = tempered(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1.0, False)
    labels = np.array([rng.choice(3, p=row) for row in truth])
    sharpened = tempered(truth, 0.25, False)
    assert fitted_temperature(sharpened, labels) == pytest.approx(4.0, rel=0.15)
    assert fitted_temperature(truth, labels) == pytest.approx(1.0, rel=0.15)
    fitted = irreducible_losses(item_keys(logits), labels, sharpened, temperature="fit")
    plain = irreducible_losses(item_keys(logits), labels, sharpened, temperature=1.0)
    assert fitted.losses.mean() < plain.losses.mean()
    assert fitted.losses.max() < plain.losses.max()


def test_sharp_is_half_of_the_fitted_temperature() -> None:
    generator = np.random.default_rng(3)
    probabilities = generator.dirichlet(np.ones(4), 300)
    labels = np.array([generator.choice(4, p=row) for row in probabilities])
    fitted = fitted_temperature(probabilities, labels)
    assert resolved_temperature("fit", probabilities, labels) == fitted
    assert resolved_temperature("sharp", probabilities, labels) == fitted / 2
    assert resolved_temperature(0.3, probabilities, labels) == 0.3
    many = np.eye(4)[labels]
    assert resolved_temperature("sharp", probabilities, many) == pytest.approx(
        fitted_temperature(probabilities, many)
    )
    keys = item_keys(map(str, range(300)))
    default = irreducible_losses(keys, labels, probabilities)
    halved = irreducible_losses(keys, labels, probabilities, temperature=fitted / 2)
    np.testing.assert_array_equal(default.losses, halved.losses)
    assert (
        default.losses.std() > irreducible_losses(keys, labels, probabilities, "fit").losses.std()
    )


def test_temperatures_of_independent_classes() -> None:
    given = tempered(np.array([[0.9, 0.5]]), 2.0, True)
    np.testing.assert_allclose(given, [[1 / (1 + np.exp(-np.log(9) / 2)), 0.5]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses_of([[1.2, -0.2]], np.array([0])), "probabilities of item 0"),
        (lambda: losses_of([[0.5, np.nan]], np.array([0])), "probabilities of item 0"),
        (lambda: losses_of([[0.5, 0.5]], np.array([0, 1])), r"shape \(1, 2\) for 2 labels"),
        (
            lambda: IrreducibleLosses(("a",), np.array([0]), np.array([np.nan])),
            "item 0 is nan",
        ),
        (
            lambda: IrreducibleLosses(("a",), np.array([0, 1]), np.array([0.1])),
            "1 items, 2 labels and 1",
        ),
    ],
)
def test_what_is_no_loss_is_refused(make: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        make()
