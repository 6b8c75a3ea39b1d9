"""What came out: the result tables, their statistics, and the summary of a run.

write_table(folder, "trials", rows)
trials_frame(ranked(read_table(folder, "trials")))
write_summary(folder, spec)
"""

from __future__ import annotations

from supremix_reports.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
