"""The studio: panels in a notebook for `generate_video` and `generate_text2video`.

fields (settings and typed text) and history (runs on disk) → session (check, estimate, run; no widgets) → panel (the widgets) →
studio (the two functions that open one). messages: every sentence, in Korean and English.
"""

from svd_lab.studio.studio import text_studio, video_studio

__all__ = ["text_studio", "video_studio"]
