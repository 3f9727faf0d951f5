"""An address as a QR code, for pages and sheets."""

from __future__ import annotations

import segno

__all__ = ["QUIET", "qr_rows"]

#: Light modules that a reader needs on every side of the code (ISO/IEC 18004).
QUIET = 4


def qr_rows(address: str) -> list[str]:
    """The code's modules row by row from above, "1" dark and "0" light, without the quiet zone."""
    code = segno.make_qr(address, error="m", boost_error=False)
    return ["".join("1" if dark else "0" for dark in row) for row in code.matrix]
