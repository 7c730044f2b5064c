"""Scores of answers to rows, by what their responses are, and the comparison of methods that stands on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfade.evaluation.methods import MethodResult, plot, result_of, table
from crossfade.evaluation.rows import kind_of, score_rows


def test_the_kind_is_that_of_the_responses() -> None:
    assert kind_of(["good", "bad", "good", "bad"]) == "label"
    assert kind_of(['{"a": 1}', "{}"]) == "json"
    assert kind_of(["one answer", "another one", "a third"]) == "text"
    assert kind_of(["good", "good"]) == "text", "one value is no choice"


def test_labels_are_scored_as_scikit_learn_defines_macro_f1() -> None:
    wanted = ["a", "a", "a", "b"]
    assert score_rows(["a", "a", "a", "a"], wanted) == {
        "macro-F1": pytest.approx(0.428571, abs=1e-5),  # of F1 6/7 and 0
        "accuracy": 0.75,
        "majority": 0.75,
    }
    assert score_rows(["It is a.", "a", "A", "b"], wanted)["macro-F1"] == 1.0


def test_slots_are_scored_by_their_pairs_over_all_rows() -> None:
    wanted = ['{"city": "Rome", "people": "2"}', '{"city": "Oslo"}']
    found = score_rows(['{"people": "2", "city": "Rome"}', '{"city": "Bonn", "time": "9"}'], wanted)
    assert found["slot F1"] == pytest.approx(2 * 2 / (4 + 3))
    assert found["valid JSON"] == 1.0
    assert found["whole object"] == 0.5
    assert score_rows(["no object", "{"], wanted) == {"slot F1": 0.0, "valid JSON": 0.0, "whole object": 0.0}


def test_text_is_scored_by_its_tokens() -> None:
    found = score_rows(["the red car", "blue"], ["red car", "green"])
    assert found == {"token F1": 0.5, "exact match": 0.5}


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="no rows"):
        score_rows([], [])


def results(tmp_path: Path) -> list[MethodResult]:
    (tmp_path / "weights").write_bytes(b"x" * 2_000_000)
    card = {
        "held_out_loss": [[0, 3.0], [5, 1.2], [9, 1.25]],
        "kept_step": 9,
        "trainable_parameters": 1000,
        "peak_memory_mb": 900,
        "minutes": 2.5,
        "held_out_loss_on_the_whole_base": 1.5,
    }
    base = MethodResult(method="base", scores={"macro-F1": 0.2, "accuracy": 0.5})
    lora = result_of("lora", tmp_path, card, ["a", "b", "a", "b"], ["a", "b", "a", "a"])
    return [base, lora, MethodResult(method="full", failed="the memory does not suffice")]


def test_the_table_tells_what_each_method_took_and_why_one_failed(tmp_path: Path) -> None:
    head, _, base, lora, full = table(results(tmp_path)).splitlines()
    assert head.startswith("| method | macro-F1 | accuracy |")
    assert base.startswith("| base | 0.200 | 0.500 |")
    assert "| 1.250 | 1,000 | 900 | 2.5 | 2.0 | held-out loss on the whole base 1.500 |" in lora, "of what was kept"
    assert full.endswith("| the memory does not suffice |")


def test_the_plot_has_a_dot_for_each_method_that_was_trained(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    svg = ElementTree.fromstring(plot([*results(tmp_path), MethodResult(method="<b>", scores={"macro-F1": 1.0})]))
    names = [node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) == 1
    assert {"lora", "base", "<b>"} <= set(names)
