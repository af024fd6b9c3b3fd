"""Class runs: a roster times lessons on dask.distributed, and a page of the results. Needs the extra "class".

roster → plan (checked, content hashes) → dask_runs → worker → notebook_process, a process for each notebook → store → page
"""
