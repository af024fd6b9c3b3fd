"""Another name of `svd_lab.studio`, which earlier notebooks import."""

from svd_lab.studio import text_studio, video_studio

__all__ = ["text_studio", "video_studio"]
