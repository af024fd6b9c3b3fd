"""Widget controls for every setting: the public name of `svd_lab.studio`."""

from svd_lab.studio import text_studio, video_studio

__all__ = ["text_studio", "video_studio"]
