"""Widget controls for every parameter, under the name that lessons import them by; the code is in `svd_lab.studio`."""

from svd_lab.studio import text_studio, video_studio

__all__ = ["text_studio", "video_studio"]
