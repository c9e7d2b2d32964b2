"""Colors of the stylesheet, computed: contrast in both themes, and distance of the series for every kind of eye."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).resolve().parents[2] / "static/agentopt.css").read_text(encoding="utf-8")
THEMES = ("light", "dark")
TEXT, MARK = 4.5, 3.0  # WCAG 2.2: 1.4.3 text, 1.4.11 marks and controls
SURFACES = ("bg", "surface", "surface-2")
PAIRS = [
    *[(ink, ground, TEXT) for ink in ("text", "text-2", "text-3", "accent") for ground in SURFACES],
    *[(tone, ground, TEXT) for tone in ("ok", "warn", "bad", "info") for ground in ("surface", f"{tone}-soft")],
    ("on-accent", "accent", TEXT), ("on-accent", "accent-hover", TEXT), ("text", "accent-soft", TEXT),
    ("text", "surface-3", TEXT),
    ("text-2", "surface-3", TEXT), ("accent", "accent-soft", TEXT), ("text-3", "accent-soft", TEXT),
    *[(f"i{n}", ground, TEXT) for n in range(1, 7) for ground in ("surface", "zone")],
    *[(f"c{n}", "surface", MARK) for n in range(7)],
    ("border-strong", "surface", MARK), ("focus", "surface", MARK), ("focus", "bg", MARK), ("bad", "zone", MARK),
]  # fmt: skip
# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def linear(token: str, theme: str) -> np.ndarray:
    """A token's color in linear RGB."""
    found = re.search(rf"--{token}:\s*light-dark\(#([0-9a-f]{{6}}), #([0-9a-f]{{6}})\)", CSS)
    assert found, token
    raw = found.group(1 + THEMES.index(theme))
    srgb = np.array([int(raw[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str, *, theme: str) -> float:
    """WCAG's ratio of two tokens."""
    light, dark = sorted((float(linear(t, theme) @ [0.2126, 0.7152, 0.0722]) for t in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB to OKLab (Ottosson 2020)."""
    lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]]) @ np.clip(rgb, 0, 1)  # fmt: skip
    lab: np.ndarray = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                                [1.9779984951, -2.4285922050, 0.4505937099],
                                [0.0259040371, 0.7827717662, -0.8086757660]]) @ np.cbrt(lms)  # fmt: skip
    return lab


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_of_ink_and_ground_has_its_contrast(theme: str) -> None:
    weak = {f"{ink} on {ground}": round(contrast(ink, ground, theme=theme), 2) for ink, ground, least in PAIRS
            if contrast(ink, ground, theme=theme) < least}  # fmt: skip

    assert weak == {}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_any_two_series_differ_for_every_kind_of_eye(theme: str, sight: str) -> None:
    seen = {n: oklab(SIGHT[sight] @ linear(f"c{n}", theme)) for n in range(1, 7)}

    nearest = min(100 * float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(seen, 2))

    assert nearest > 5  # and each has a marker or dash of its own beside its color
