"""The studio behind `svd_lab.studio.studio`: a panel over generate_video and generate_text2video.

fields: what can be set, and what a typed text means → shelf: the runs of a folder, on disk → session: check, estimate, run, no
widgets → page: the widgets. words: every sentence, in Korean and in English.
"""
