"""A sentence about a site file leads to its line."""

import pytest

from rules.model.whereabouts import Whereabouts, located

TEXT = '''[site]
code = "S1"  # the site
timezone = "Mars"
[[device]]
code = "EM-1"
note = """
[[device]]
code = "EM-9"
"""
addres = 1
[[device]]
code = "EM-2"
[[device]]
code = "EM-2"
[[device]]
name_en = "without a code"
[[derived]]
device = "EM-1"
measure = "heat"
unit = "kW"
[[local_rule]]
code = "leak"
'''


@pytest.mark.parametrize(
    ("sentence", "line"),
    [
        ("site timezone: 'Mars' is not a time zone.", 3),
        ("device 'EM-1' addres is not a known key.", 10),
        ("device 'EM-1' address is missing; add it.", 4),
        ("device 'EM-2' stands more than once.", 13),
        ("device no. 4 code is missing; add it.", 15),
        ("device 'EM-9' hangs nowhere.", None),
        ("derived point 'EM-1.heat': unit kW.", 20),
        ("local rule 'leak' names point 'X.y'.", 21),
        ("something else.", None),
        ("device no. 99 x.", None),
        ("", None),
    ],
)
def test_a_sentence_leads_to_its_line(sentence: str, line: int | None) -> None:
    assert Whereabouts(TEXT).line(sentence) == line


def test_a_sentence_without_a_line_is_left_as_it_is() -> None:
    assert located("something else.", Whereabouts(TEXT)) == "something else."
    assert located("site timezone is wrong.", Whereabouts(TEXT)) == "line 3: site timezone is wrong."
