"""`ragkit ask --best-of` and `ragkit train reward`."""

import json
from pathlib import Path

from command_line import Command


def test_the_best_is_given_with_what_it_cites(ragkit: Command, indexed: Path) -> None:
    asked = ("ask", indexed, "Which statement ends the nearest loop?", "--reader", "--best-of", 3)
    found = ragkit(*asked, "--json").json
    first = found["candidates"][0]
    assert len(found["candidates"]) == 3 and found["answer"] == first["answer"]
    assert first["reward"] == max(one["reward"] for one in found["candidates"])
    cited = first["citations"][0]
    assert Path("notes", cited["document"]).read_text()[cited["start"] : cited["end"]] == cited["text"]
    assert found["config"]["best_of"] == 3
    said = ragkit(*asked).out
    assert "the best of 3 by reward:" in said and "<- loops.txt [" in said


def test_a_reward_is_learnt_used_and_refused_without_best_of(ragkit: Command, indexed: Path) -> None:
    subjects = ("break", "continue")
    entries = [
        {
            "question": f"{start} statement {ending}?",
            "answers": [f"A {subject}", subject],
            "positive_ctxs": [{"title": "", "text": "A break statement ends the nearest loop."}],
            "negative_ctxs": [],
            "hard_negative_ctxs": [],
        }
        for start in (
            "Which",
            "What",
            "The which",
            "Now which",
            "Say which",
            "So what",
            "And which",
            "Then which",
        )
        for subject, ending in zip(subjects, ("ends the nearest loop", "goes on"), strict=True)
    ]
    Path("asked.json").write_text(json.dumps(entries))
    learnt = ragkit("train", "reward", indexed, "asked.json", "--out", "own/reward.json", "--reader")
    assert learnt.code == 0 and "preferences" in learnt.out, learnt.err
    asked = ("ask", indexed, "Which statement goes on?", "--reader")
    assert ragkit(*asked, "--best-of", 2, "--reward", "own/reward.json").code == 0
    assert ragkit(*asked, "--reward", "own/reward.json").code == 2
    broken = ragkit(*asked, "--best-of", 2, "--reward", "asked.json")
    assert broken.code == 1 and "is no reward model" in broken.err
