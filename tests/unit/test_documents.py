from io import BytesIO

import pytest
from pypdf import PdfReader

from hub.documents.rows import (
    Party,
    PrintedBand,
    PrintedInvoice,
    PrintedLine,
    PrintedMeter,
    PrintedReading,
    PrintedTax,
)
from hub.documents.service import invoice_pdf
from hub.errors import InvalidError

METER = PrintedMeter(
    "EM-A-101",
    PrintedReading("2026-10-01 00:00", "9,950.00", estimated=False),
    PrintedReading("2026-11-01 00:00", "1,234.56", estimated=True),
    "40",
    "时段电价",
    (PrintedBand("峰", "2024-01", "100.00", "1.1386", "113.8600"),),
)


def invoice(language: str, tenant: str = "青禾优品商贸有限公司") -> PrintedInvoice:
    lines = (
        PrintedLine("租金 A-101", "120.5", "m²", "9,640.00", "9", "867.60", "31/31", None),
        PrintedLine("电费 A-101", "100.00", "kWh", "113.86", "13", "14.80", "", METER),
    )
    return PrintedInvoice(
        language, "RIVERSIDE-2026-000001", "滨江园区", Party("滨江集团"), Party(tenant, "91310115MA1K3A101A"),
        "L-2024-001", "2026-10-01 – 2026-10-31", "2026-11-02", "2026-11-17", "CNY", lines,
        (PrintedTax("9", "9,640.00", "867.60"), PrintedTax("13", "113.86", "14.80")), "9,753.86", "882.40", "10,636.26",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ["账单", "起始读数", "应付合计", "（估算）"]),
        ("en", ["Invoice", "Start reading", "Total due", "(estimated)"]),
    ],
)
async def test_a_printed_invoice_shows_readings_bands_and_totals_in_both_languages(language, words):
    pdf = await invoice_pdf(invoice(language))
    text = PdfReader(BytesIO(pdf)).pages[0].extract_text()
    for word in [*words, "青禾优品商贸有限公司", "9,950.00", "1,234.56", "2026-11-01 00:00", "1.1386", "10,636.26"]:
        assert word in text
    assert pdf == await invoice_pdf(invoice(language))


async def test_a_name_full_of_markup_is_only_a_name():
    name = '#panic("x") *bold* $x$ "quoted" \\ {"a": 1}'
    text = PdfReader(BytesIO(await invoice_pdf(invoice("en", name)))).pages[0].extract_text()
    assert '#panic("x") *bold* $x$' in text


async def test_a_language_that_is_not_there_is_refused():
    with pytest.raises(InvalidError, match="'de' is not a language"):
        await invoice_pdf(invoice("de"))
