"""The studio: panels in a notebook over `generate_video` and `generate_text2video`.

fields: what can be set, and what a typed text means → history: the runs of a folder, on disk → session: check, estimate, run, no
widgets → panel: the widgets → studio: the two doors. messages: every sentence, in Korean and in English.
"""

from svd_lab.studio.studio import text_studio, video_studio

__all__ = ["text_studio", "video_studio"]
