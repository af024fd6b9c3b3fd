"""Which part of a picture is kept where its shape is not the video's. Plain numbers."""

from __future__ import annotations

CENTRE = 0.5


def window(size: tuple[int, int], wanted: tuple[int, int], share: float = CENTRE) -> tuple[int, int, int, int] | None:
    """The largest part of a picture that has the shape of the video.

    Args:
        size: Of the picture, (width, height).
        wanted: Of the video.
        share: How much of what is cut off is cut at the left or top: 0 keeps the left or top end, 1 the other, 0.5 the middle.

    Returns:
        (left, top, right, bottom) in pixels; None where less than a pixel would be cut.
    """
    width, height = size
    kept_width = min(width, max(1, round(height * wanted[0] / wanted[1])))
    kept_height = min(height, max(1, round(width * wanted[1] / wanted[0])))
    if (kept_width, kept_height) == (width, height):
        return None
    if kept_width < width:
        kept_height = height
    left, top = round((width - kept_width) * share), round((height - kept_height) * share)
    return left, top, left + kept_width, top + kept_height
