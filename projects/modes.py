"""What a privacy mode keeps, and what it makes impossible, in sentences for pages and programs."""

from dataclasses import dataclass

OLD_ROWS = "stay as they were taken in"


@dataclass(frozen=True)
class Mode:
    """A mode by what it keeps of a call, and what cannot be had then."""

    name: str
    keeps: str
    impossible: tuple[str, ...]


MODES = (
    Mode("full", "requests, answers and metadata as they were", ()),
    Mode(
        "redacted",
        "the same without e-mail addresses, phone and card numbers, keys and what your own patterns find",
        (
            "Replays send the redacted text: they do not ask exactly what was asked.",
            "Judges read the redacted text.",
        ),
    ),
    Mode(
        "hashed",
        "figures, names of models and keyed hashes; nothing of what was said",
        (
            "Calls cannot be replayed or judged: evaluations of them are refused.",
            "Use cases cannot be found: there is no text to group by.",
            "Nothing can be searched or read: a call shows its figures only.",
            "Metadata are hashes: they group calls, but no longer say what they were.",
        ),
    ),
)


def of(name: str) -> Mode:
    """The mode of a name."""
    return next(mode for mode in MODES if mode.name == name)


def of_old_rows(before: str, after: str) -> str:
    """What a change of mode leaves as it is, and what can be done about it."""
    if before == after:
        return ""
    said = f"Calls taken in so far {OLD_ROWS}, in {before} mode; {after} mode holds for those that come from now on."
    if after == "full":
        return f"{said} What was left out then cannot be brought back."
    return f"{said} To take out what they hold, remove their bodies by age, or erase one person's calls."
