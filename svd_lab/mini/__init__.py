"""The miniatures: small models of the genuine diffusers classes, trained from scratch on a world of moving emoji.

``weights/`` is a folder that ``StableVideoDiffusionPipeline.from_pretrained`` reads unmodified, ``text/`` one for
``StableDiffusionPipeline``. `catalogue` lists the things that they know, `lexicon` the words of the text miniature. Importing
this package imports neither, so that finding the weights costs nothing.
"""
