"""Class runs: a roster times lessons on dask.distributed, and a page to look at. Needs the extra "class"; nothing else needs it.

roster → plan (checked, content hashes) → engine (Dask) → work, on a worker → job, a process a notebook → store → page
"""
