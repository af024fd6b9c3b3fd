"""What every lesson imports: `start_lesson` in its first cell, `finish_lesson` in its last, and the bundled pictures."""

from svd_lab.bundled import EXAMPLES, PICTURES
from svd_lab.lesson.notebook import cost, finish_lesson, progress, start_lesson

__all__ = ["EXAMPLES", "PICTURES", "cost", "finish_lesson", "progress", "start_lesson"]
