"""QR codes for pages."""

import segno


def qr_image(text: str) -> str:
    """The code as an SVG data URI: black on white with its quiet zone, whatever the page's colours."""
    code = segno.make_qr(text, error="m", boost_error=False)
    uri: str = code.svg_data_uri(scale=8, border=4, dark="#000", light="#fff", omitsize=True)
    return uri
