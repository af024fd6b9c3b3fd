"""The mini: a miniature Stable Video Diffusion of the genuine diffusers classes, trained from scratch on a world of moving emoji.

``weights/`` is a folder that ``StableVideoDiffusionPipeline.from_pretrained`` reads unmodified. The other modules made it and
measure it: `things` (the catalogue), `scenes` (the renderer), `models`, `train` and `evaluate`. Importing this package imports
none of them, so that finding the weights costs nothing.
"""
