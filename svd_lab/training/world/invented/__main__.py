"""Write a sheet of invented things: a column for each family."""

import sys

from PIL import Image

from svd_lab.training.world.invented import FAMILIES, cells

ROWS = 12
BACKGROUND = (205, 220, 235, 255)


def main() -> None:
    drawn = cells(ROWS * len(FAMILIES), 1 + (int(sys.argv[2]) if len(sys.argv) > 2 else 0))[0][-1]
    side = drawn.shape[1]
    page = Image.new("RGBA", (len(FAMILIES) * side, ROWS * side), BACKGROUND)
    for i, cell in enumerate(drawn):
        page.alpha_composite(Image.fromarray(cell), (i % len(FAMILIES) * side, i // len(FAMILIES) * side))
    page.convert("RGB").save(sys.argv[1])


if __name__ == "__main__":
    main()
