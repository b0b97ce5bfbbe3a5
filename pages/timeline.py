"""What left the window, what came back, and why: the whole life, a stretch of it mark by mark, each mark in full."""

from pages.parts import frame, timeline_board

with frame.enter("Paging timeline") as here:
    timeline_board.draw(here)
