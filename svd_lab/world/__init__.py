"""A small world of moving things: clips rendered in torch whose motion is known, and the measures that compare a video with it.

Example:
    >>> from svd_lab.world.measures import measure, summary
    >>> from svd_lab.world.scenes import World
    >>> truth = World(seed=1).clips(4, bucket=127, fps=7, two=0, nothing=0)
    >>> truth = truth[~truth.camera]
    >>> summary(measure(truth, truth.video))["cosine"]
    1.0

`svd_lab.mini.catalogue` lists the things; `contact_sheets` writes clips as pictures to look at.
"""
