from datetime import date

from invoices import Invoice, read

PLAIN = """Oak Printing
Invoice 2041, due 2026-04-30
200 posters   180.00
Total         180.00"""
WITH_TAX = """Elm Catering
Invoice 77, due 2026-05-12
Lunch for 12  240.00
Tax            24.00
Total         264.00"""


async def test_an_invoice_is_read():
    assert await read(PLAIN) == Invoice(sender="Oak Printing", due=date(2026, 4, 30), total=180)


async def test_a_wrong_total_is_asked_again():
    """Two turns: the first answer adds the tax twice, the validator says so."""
    invoice = await read(WITH_TAX)
    assert invoice.sender == "Elm Catering"
    assert invoice.total == 264
