"""What lessons import: `start_lesson` and `finish_lesson`, `check` for answers, `find_model`, and the bundled pictures."""

from svd_lab.bundled import EXAMPLES, PICTURES
from svd_lab.lesson.checking import check
from svd_lab.lesson.model_here import find_image_model, find_model
from svd_lab.lesson.notebook import cost, finish_lesson, progress, start_lesson

__all__ = [
    "EXAMPLES",
    "PICTURES",
    "check",
    "cost",
    "find_image_model",
    "find_model",
    "finish_lesson",
    "progress",
    "start_lesson",
]
