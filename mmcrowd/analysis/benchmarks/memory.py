"""Memory that a call allocates on the host."""

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def peak_of_torch(call: Callable[[], object]) -> float:
    """Largest memory in MiB that torch allocates at one time during a call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    now = peak = 0
    for event in sorted(recorded.events(), key=lambda e: e.time_range.start):
        now += event.self_cpu_memory_usage
        peak = max(peak, now)
    return peak / 2**20
