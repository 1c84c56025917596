"""Jobs as the API shows them."""

from __future__ import annotations

from governance_flow.api.service import Job
from governance_flow.api.views import JobView


def job_view(job: Job | None) -> JobView | None:
    """Return how far a job is and what it came to; None if there was none."""
    if job is None:
        return None
    result = job.result if isinstance(job.result, dict) else None
    return JobView(
        running=job.running, done=job.done, total=job.total, error=job.error, result=result
    )
