"""Print: invoices as PDF."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.resources import as_file, files

import typst

from hub.documents.rows import PrintedInvoice
from hub.errors import InvalidError
from hub.workers import Workers

LANGUAGES = ("zh", "en")
PRINTERS = 2
PRINTS_WAITING_MAX = 20
_printers = Workers("print", PRINTERS, PRINTS_WAITING_MAX, "Too many papers are being printed now; try again shortly.")


async def invoice_pdf(invoice: PrintedInvoice) -> bytes:
    """Give the invoice as PDF (A4, tagged); the same invoice gives the same bytes.

    The font is Noto Sans CJK from the package noto_cjk_sans_otc, so no font of the system is needed.
    Raises InvalidError for a language that it cannot print, UnavailableError while too many papers wait.
    """
    if invoice.language not in LANGUAGES:
        raise InvalidError(f"'{invoice.language}' is not a language of this program; choose zh or en.")
    return await _printers.run(_compile, invoice)


def _compile(invoice: PrintedInvoice) -> bytes:
    template = files("hub.documents").joinpath("invoice.typ").read_bytes()
    issued_at = datetime.fromisoformat(invoice.issued_on).replace(tzinfo=UTC)
    return typst.compile(
        template,
        font_paths=_fonts(),
        format="pdf",
        # Data, not text of the program: nothing in a name can become markup.
        sys_inputs={"invoice": json.dumps(asdict(invoice), ensure_ascii=False)},
        timestamp=int(issued_at.timestamp()),
    )


@cache
def _fonts() -> typst.Fonts:
    with as_file(files("noto_cjk_sans_otc").joinpath("NotoSansCJK-Regular.ttc")) as font:
        return typst.Fonts(include_system_fonts=False, font_paths=[font.parent])
