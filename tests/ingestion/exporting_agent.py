"""An agent as a team would write it: the openai client, its instrumentation, the exporter set up by environment.

python -m tests.ingestion.exporting_agent ADDRESS_OF_THE_MODELS
"""

import contextlib
import sys
from typing import Any

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TOOLS: Any = [{"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}}]


def main(models: str) -> None:
    """One answered call, one streamed, one that calls a tool, one that fails; all within one task."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    client = openai.OpenAI(
        base_url=models, api_key="none", max_retries=0, default_headers={"x-portkey-api-key": "sandbox-support"}
    )
    ask = client.chat.completions.create
    with provider.get_tracer("agent").start_as_current_span("task"):
        ask(model="aurora-large", messages=[_says("Thanks, that is all.")], temperature=0.2, max_tokens=64)
        for _chunk in ask(
            model="lumen-flash", messages=[_says("Hello there.")], stream=True, stream_options={"include_usage": True}
        ):
            pass
        ask(model="aurora-large", messages=[_says("Where is my order K-12345?")], tools=TOOLS)
        with contextlib.suppress(openai.NotFoundError):
            ask(model="no-such-model", messages=[_says("Hello?")])
    provider.shutdown()


def _says(text: str) -> "openai.types.chat.ChatCompletionUserMessageParam":
    return {"role": "user", "content": text}


if __name__ == "__main__":
    main(sys.argv[1])
