"""The line of progress: rewritten on a terminal, printed now and then in a log."""

import io

from svd_lab.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_per_step_and_no_line_twice():
    log = io.StringIO()
    with ProgressLine(log) as line:
        for step in (1, 1, 2):
            line.show("a.mp4", (step, 2), "about 3 s left")
    assert log.getvalue() == "a.mp4: step 1/2, about 3 s left\na.mp4: step 2/2, about 3 s left\n"


def test_a_log_gets_no_more_than_a_line_per_interval_and_all_messages():
    log = io.StringIO()
    line = ProgressLine(log, interval=3600)
    for text in ("1 done", "2 done"):
        line.show(text)
    line.print_above("one failed")
    line.finish("3 done")
    assert log.getvalue().splitlines() == ["1 done", "one failed", "3 done"]


def test_a_terminal_has_one_line_that_is_rewritten_below_the_messages():
    terminal = Terminal()
    line = ProgressLine(terminal, interval=3600)
    for text in ("1 done", "2 done"):
        line.show(text)
    line.print_above("one failed")
    line.finish("3 done")
    lines = terminal.getvalue().split("\n")
    assert "1 done" in lines[0] and "2 done" in lines[0] and lines[0].endswith("\rone failed")
    assert lines[1].endswith("\r3 done") and lines[2] == ""
