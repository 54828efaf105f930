"""A model of a job's life, and what of its events does not fit."""
import collections

QUEUED, RUNNING, PAUSED, SUCCEEDED, FAILED, CANCELLED = range(1, 7)
ENDS = {SUCCEEDED, FAILED, CANCELLED}
MOVES = {QUEUED: {RUNNING, PAUSED, FAILED, CANCELLED},
         RUNNING: {QUEUED, PAUSED, SUCCEEDED, FAILED, CANCELLED},
         PAUSED: {QUEUED, CANCELLED}, SUCCEEDED: set(), FAILED: set(),
         CANCELLED: set()}

RUNNING_ON = "running on "


def owners(events):
    """The workers that took the job, in their order: the n-th one's fence is
    n."""
    return [e.message.removeprefix(RUNNING_ON) for e in events
            if e.message.startswith(RUNNING_ON)]


def version_faults(published, versions):
    """Of the numbers that jobs say they published and those that are listed."""
    found = []
    for what, numbers in (("jobs published", published),
                          ("are listed", versions)):
        count = collections.Counter(numbers)
        wanted = range(1, len(published) + 1)
        odd = sorted(n for n in {*count, *wanted}
                     if count[n] != (n in wanted))
        if odd:
            found.append(f"of {len(published)} jobs that succeeded, {what}: "
                         f"missing, twice or too many {odd[:5]}")
    return found


def faults(job, events):
    """Of all events of a job that has ended, oldest first; empty: none."""
    found = []
    if [e.sequence for e in events] != list(range(1, len(events) + 1)):
        found.append(f"job {job.id}: its events are not numbered 1, 2, 3, ...")
    state = None
    published = []
    for event in events:
        if state is None:
            if event.state != QUEUED:
                found.append(f"job {job.id}: began in state {event.state}")
        elif event.state != state and event.state not in MOVES[state]:
            found.append(f"job {job.id}: moved from state {state} to "
                         f"{event.state} at event {event.sequence}")
        elif state in ENDS:
            found.append(f"job {job.id}: event {event.sequence} behind its end")
        state = event.state
        if event.version:
            published.append(event.version)
    if state != job.state or state not in ENDS:
        found.append(f"job {job.id}: is in state {job.state}, its last event "
                     f"says {state}")
    expected = [job.version] if job.state == SUCCEEDED else []
    if published != expected:
        found.append(f"job {job.id}: events publish {published}, the job "
                     f"{expected}")
    return found
