"""Recorded mode: answers and verdicts out of files, and nothing beyond them."""

import gzip
import json
from pathlib import Path

import pytest

from agentopt.lib.judge_form import Asked, compose, read
from agentopt.sandbox import recorded, server
from tests.sandbox import invented
from tests.sandbox.conftest import ask, client, judged, rows, said

FOLDER = invented.FOLDER


def question(number: int, *, answer: str, highest: float = 10) -> Asked:
    prompt = rows(FOLDER, "chat_prompts.jsonl")[number]["messages"][0]["content"]
    return Asked("quality", 1, highest=highest, messages=(("user", prompt),), answer=answer, reference=None)


def test_our_own_recording_is_small_and_can_be_made_again(tmp_path: Path) -> None:
    invented.write(tmp_path)

    for name in invented.files():
        made, kept = (tmp_path / name).read_bytes(), (FOLDER / name).read_bytes()
        if name.endswith(".gz"):  # zlib versions differ in how they pack
            made, kept = gzip.decompress(made), gzip.decompress(kept)
        assert made == kept
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 60_000


def test_a_recorded_answer_is_found_by_the_last_user_message(recorded_sandbox: server.Sandbox) -> None:
    prompt = rows(FOLDER, "qa_prompts.jsonl")[5]
    earlier = {"role": "user", "content": "hello"}

    reply = ask(recorded_sandbox, "bright-2", {"role": "system", "content": "x"}, earlier, *prompt["messages"])

    assert reply.status_code == 200
    assert said(reply).endswith(f"The answer is {prompt['reference_answer']}.")
    assert reply.json()["usage"] is None
    assert reply.headers["x-agentopt-sandbox"] == "recorded"


@pytest.mark.parametrize(
    ("model", "text"), [("bright-2", "never recorded"), ("nobody", "Is it true that bats are blind?")]
)
def test_an_unknown_pair_is_a_404_and_never_made_up(recorded_sandbox: server.Sandbox, model: str, text: str) -> None:
    reply = ask(recorded_sandbox, model, {"role": "user", "content": text})

    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_recorded"


def test_the_exact_judge_gives_the_ends_of_the_asked_scale(recorded_sandbox: server.Sandbox) -> None:
    prompts = {row["prompt_id"]: row for row in rows(FOLDER, "qa_prompts.jsonl")}
    with gzip.open(FOLDER / "qa_completions.jsonl.gz", "rt", encoding="utf-8") as lines:
        completions = [json.loads(line) for line in lines][:12]

    for row in completions:
        text = prompts[row["prompt_id"]]["messages"][0]["content"]
        asked = Asked("correctness", 1, highest=10, messages=(("user", text),), answer=row["content"], reference=None)
        verdict = judged(recorded_sandbox, recorded.REFERENCE_JUDGE, asked)
        assert verdict["score"] == (10 if row["correct"] else 1)
        assert ("right" if row["correct"] else "wrong") in verdict["explanation"]


def test_a_recorded_score_moves_to_the_asked_scale(recorded_sandbox: server.Sandbox) -> None:
    completion, verdict = rows(FOLDER, "chat_completions.jsonl")[1], rows(FOLDER, "chat_verdicts.jsonl")[1]

    same = judged(recorded_sandbox, "owl-judge", question(0, answer=completion["content"]))
    other = judged(recorded_sandbox, "owl-judge", question(0, answer=completion["content"], highest=19))

    assert same == {"score": verdict["score"], "explanation": verdict["text"]}
    assert other["score"] == pytest.approx(1 + (verdict["score"] - 1) * 2)


def test_a_verdict_without_a_score_is_its_text_alone(recorded_sandbox: server.Sandbox) -> None:
    verdict = next(row for row in rows(FOLDER, "chat_verdicts.jsonl") if row["score"] is None)
    answer = next(
        row["content"]
        for row in rows(FOLDER, "chat_completions.jsonl")
        if (row["prompt_id"], row["model"]) == (verdict["prompt_id"], verdict["model"])
    )

    reply = ask(recorded_sandbox, "owl-judge", *compose(question(3, answer=answer), instructions="Judge."))

    assert said(reply) == verdict["text"]


def test_an_answer_that_differs_by_a_space_has_no_verdict(recorded_sandbox: server.Sandbox) -> None:
    answer = rows(FOLDER, "chat_completions.jsonl")[1]["content"] + " "

    reply = ask(recorded_sandbox, "owl-judge", *compose(question(0, answer=answer), instructions="Judge."))

    assert reply.status_code == 404


def test_models_are_listed_by_set(recorded_sandbox: server.Sandbox) -> None:
    with client(recorded_sandbox, key="any key at all") as http:
        chat = [row["id"] for row in http.get("/models", params={"set": "chat"}).json()["data"]]
        every = [row["id"] for row in http.get("/models").json()["data"]]

    assert chat == ["bright-2", "dim-0", "owl-judge", "plain-1"]
    assert every == sorted([*chat, recorded.REFERENCE_JUDGE])


def test_a_recorded_sandbox_has_no_logs_and_no_known_truth(recorded_sandbox: server.Sandbox) -> None:
    with client(recorded_sandbox) as http:
        draft = http.post("/logs/exports", json={"filters": {}, "description": "d"}).json()
        truth = http.get(recorded_sandbox.url.removesuffix("/v1") + "/sandbox/truth")

    assert draft["total"] == 0
    assert truth.status_code == 404


def test_a_folder_without_a_set_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no NAME_prompts"):
        recorded.load(tmp_path)


def test_every_recorded_answer_of_real_models_can_be_asked_for_and_judged(recordings: Path) -> None:
    loaded = recorded.load(recordings)

    for (prompt, judge, _), verdict in list(loaded.verdicts.items())[::500]:
        model = next(model for it, model in loaded.answers if it == prompt and loaded.answers[it, model] is not None)
        assert verdict.lowest < verdict.highest
        assert (prompt, model) in loaded.answers
        assert any(judge in judges for judges in loaded.judges.values())
    assert set(loaded.models) >= {"qa", "chat", "segment"}


def test_a_recorded_judge_finds_prompt_and_answer_through_the_fence(recordings: Path) -> None:
    loaded = recorded.load(recordings)
    with gzip.open(recordings / "chat_prompts.jsonl.gz", "rt", encoding="utf-8") as lines:
        prompts = {row["prompt_id"]: row["messages"][-1]["content"] for row in map(json.loads, lines)}
    with gzip.open(recordings / "chat_completions.jsonl.gz", "rt", encoding="utf-8") as lines:
        completions = [json.loads(line) for line in lines]

    for row in completions:
        messages = (("user", prompts[row["prompt_id"]]),)
        asked = read(compose(Asked("quality", 1, 10, messages, row["content"], None), instructions=""))
        assert asked is not None
        assert loaded.verdict("gpt-4", asked) is not None
