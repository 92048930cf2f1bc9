"""Worked examples of business rules, from the file beside this one or from another of the same form."""

from pathlib import Path

import pytest

DEFAULT = Path(__file__).with_name("business.yaml")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=Path, default=DEFAULT, metavar="FILE", help="worked examples to run (YAML)")
