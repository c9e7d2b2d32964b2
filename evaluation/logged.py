"""The baseline's answers as they stand in the log, as replays that cost nothing."""

from collections.abc import Sequence

from agentopt.lib.crypto import keyed_hash
from evaluation.models import Candidate, Replay, Sample
from ingestion.formats import bodies
from ingestion.models import LogBody, LogRecord

_AT_ONCE = 500


def store(baseline: Candidate, samples: Sequence[Sample]) -> None:
    """Add repetition 0 of the baseline to each sample; runs inside the evaluation's transaction."""
    hash_key = baseline.evaluation.project.hash_key
    for start in range(0, len(samples), _AT_ONCE):
        part = samples[start : start + _AT_ONCE]
        wanted = [sample.record_id for sample in part]
        records = LogRecord.objects.in_bulk(wanted)
        responses = dict(LogBody.objects.filter(record__in=wanted).values_list("record_id", "response"))
        Replay.objects.bulk_create(
            answered(sample, baseline, records[sample.record_id], responses.get(sample.record_id, ""), key=hash_key)
            for sample in part
        )


def answered(sample: Sample, baseline: Candidate | None, record: LogRecord, response: str, *, key: str) -> Replay:
    """What the model in production did, by the rules that hold for candidates: failed and empty count as failed."""
    answer = bodies.answer_of(response)
    reason = "" if answer.given else "empty"
    if record.status == LogRecord.Status.FAILED:
        reason = f"http_{record.status_code}" if record.status_code else "failed"
    text = answer.text or ""
    return Replay(
        sample=sample,
        candidate=baseline,
        repetition=0,
        status=Replay.Status.FAILED if reason else Replay.Status.ANSWERED,
        source=Replay.Source.LOGGED,
        reason=reason,
        answer=text,
        tool_calls=list(answer.tool_calls),
        answer_hash=keyed_hash(key, text) if text else "",
        finish_reason=record.finish_reason,
        refused=record.refused,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
        cost_nanousd=record.cost_nanousd,
        latency_us=record.latency_us,
        first_token_us=record.first_token_us,
    )
