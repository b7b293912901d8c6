"""Classes are found without registration, and by any reasonable spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from dlarray.core.registry import by_name, classes, make, spelling


class Shape:
    abstract: ClassVar[bool] = True


class RoundShape(Shape):
    abstract: ClassVar[bool] = True


@dataclass(frozen=True)
class Circle(RoundShape):
    radius: float = 1.0
    aliases: ClassVar[tuple[str, ...]] = ("disc", "o")


class Ellipse(RoundShape):
    pass


class LongBox(Shape):
    spelling: ClassVar[str] = "longbox"


class TallLongBox(LongBox):
    pass


class _Hidden(Shape):
    pass


class Square(_Hidden):
    pass


class Other:
    pass


def test_classes_are_the_public_subclasses_of_any_depth_in_the_order_written():
    found = classes(Shape)
    assert list(found.values()) == [Circle, Ellipse, LongBox, TallLongBox, Square]
    assert list(found) == ["circle", "ellipse", "longbox", "tall_long_box", "square"]
    assert list(classes(RoundShape).values()) == [Circle, Ellipse]


def test_one_more_class_is_there_at_once():
    class Kind:
        pass

    assert classes(Kind) == {}

    class NewOne(Kind):
        pass

    assert classes(Kind) == {"new_one": NewOne}
    assert by_name(Kind, "newone") is NewOne


WORDS = {
    "Tanh": "tanh",
    "GELU": "gelu",
    "HardTanh": "hard_tanh",
    "LogSoftmax": "log_softmax",
    "KLDivergence": "kl_divergence",
    "RMSNorm": "rms_norm",
    "BinaryCrossEntropy": "binary_cross_entropy",
    "L2Loss": "l2_loss",
}


@pytest.mark.parametrize(("name", "words"), WORDS.items())
def test_a_class_name_in_words(name, words):
    assert spelling(type(name, (), {})) == words


def test_a_class_s_own_spelling_is_its_own_alone():
    assert spelling(LongBox) == "longbox"
    assert spelling(TallLongBox) == "tall_long_box"


@pytest.mark.parametrize("name", ["circle", "Circle", "CIRCLE", " circle ", "disc", "Disc", "o"])
def test_case_does_not_matter_and_aliases_count(name):
    assert by_name(Shape, name) is Circle


@pytest.mark.parametrize("name", ["tall_long_box", "TallLongBox", "tall-long-box", "tall long box", "talllongbox"])
def test_hyphens_spaces_and_underscores_do_not_matter(name):
    assert by_name(Shape, name) is TallLongBox


def test_an_unknown_name_gets_the_nearest_one_and_all_there_are():
    with pytest.raises(ValueError, match="unknown shape 'cirlce', did you mean 'circle'") as caught:
        by_name(Shape, "cirlce")
    assert str(caught.value).endswith("known are circle, ellipse, longbox, square, tall_long_box")
    with pytest.raises(ValueError, match="unknown shape 'zzz'; known are"):
        by_name(Shape, "zzz")
    with pytest.raises(ValueError, match="unknown shape 'hidden'"):
        by_name(Shape, "hidden")


def test_make_takes_a_name_or_an_instance():
    circle = Circle(2.0)
    assert make(Shape, circle) is circle
    assert make(Shape, "circle") == Circle(1.0)


@pytest.mark.parametrize("wrong", [3, None, Other(), Circle])
def test_make_takes_nothing_else(wrong):
    with pytest.raises(TypeError, match="shape must be a name or an instance"):
        make(Shape, wrong)
