"""Plotly figures as plain dictionaries, and plotly.js as a static file."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage


class PlotlyFinder(BaseFinder):
    """Publish exactly one file of the plotly wheel; its 5 MB widget bundle and data sets stay out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = find_spec("plotly")  # does not import it
        assert spec is not None and spec.origin is not None  # noqa: S101, PT018
        self.storage = FileSystemStorage(location=Path(spec.origin).parent / "package_data")
        self.storage.prefix = "plotly"  # type: ignore[attr-defined]
        super().__init__(*args, **kwargs)

    def check(self, **_kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        if path.replace("\\", "/") != "plotly/plotly.min.js":
            return []  # never None: Django would wrap it and answer 500 for every missing file
        hit = self.storage.path("plotly.min.js")
        return [hit] if find_all else hit

    def list(self, _ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        yield "plotly.min.js", self.storage
