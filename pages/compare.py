"""Compare: two runs or forks side by side, turn by turn; and what if one thing had been otherwise."""

from pages.parts import compare_board, frame

with frame.enter("Compare") as here:
    compare_board.draw(here)
