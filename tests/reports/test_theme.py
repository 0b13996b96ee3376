"""Whether the colours can be told apart and read, also by colour-blind readers.

Contrast: WCAG 2.1, 4.5:1 for text and 3:1 for marks. Colour blindness: Viénot, Brettel, Mollon 1999 (protanopia and
deuteranopia in linear RGB); difference: CIE 1976 Lab.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from reports.theme import COMPONENTS, DARK, LIGHT, MACHINE_COLOURS, STATES, component_token, machine_token, state_token

Vector = npt.NDArray[np.float64]
LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
PROTAN = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
DEUTAN = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def linear(colour: str) -> Vector:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((float(XYZ[1] @ linear(c)) for c in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def lab(rgb: Vector) -> Vector:
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(rgb, 0, 1), 1e-6) / (XYZ @ np.ones(3)))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one: str, other: str, eye: Vector) -> float:
    return float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other))))


EYES = {"all cones": np.eye(3), "protan": np.linalg.inv(LMS) @ PROTAN @ LMS, "deutan": np.linalg.inv(LMS) @ DEUTAN @ LMS}


@THEMES
def test_text_and_marks_can_be_read(theme: dict[str, str]) -> None:
    for token in ("$ink", "$muted"):
        assert contrast(theme[token], theme["$surface"]) >= 4.5
    for number in range(MACHINE_COLOURS):
        assert contrast(theme[machine_token(number)], theme["$surface"]) >= 3.0, number


@THEMES
@pytest.mark.parametrize("eye", EYES)
def test_colours_of_one_idea_stay_apart(theme: dict[str, str], eye: str) -> None:
    groups = {
        "machines": [machine_token(number) for number in range(5)],
        "components": [component_token(component) for component in COMPONENTS],
        "states": [state_token(state) for state in STATES],
    }
    close = {
        (name, one, other): difference(theme[one], theme[other], EYES[eye])
        for name, group in groups.items()
        for one, other in combinations(group, 2)
        if difference(theme[one], theme[other], EYES[eye]) < 11
    }
    assert not close
