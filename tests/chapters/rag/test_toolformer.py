from pathlib import Path

from ragkit.chapters.rag.toolformer import (
    HELD_OUT,
    LONGEST,
    Toolformer,
    _to_write,
    character_tokenizer,
    examples,
    taken,
)
from ragkit.generation.tools.tool import ToolCall


def test_questions_held_out_are_never_trained_on_and_end_in_any_digit() -> None:
    seen = {item.numbers for item in taken(3000, 0)}
    held = {item.numbers for item in taken(300, 0, held_out=True)}
    assert not seen & held
    assert all((a - b) % HELD_OUT == 0 for a, b in held)
    assert {b % 10 for _, b in held} == set(range(10)) == {b % 10 for _, b in seen}


def test_what_is_learnt_is_the_call_without_its_result_and_the_answer_after_it() -> None:
    items = taken(30, 0)
    summed = next(item for item in items if item.kind == "sum")
    other = next(item for item in items if item.kind == "other")
    call = ToolCall("calculator", "1+2", "3")
    written = list(_to_write([summed, other], {(summed.question, summed.answer): call}))
    assert written == [
        (summed.question, "[calculator(1+2)->"),
        (f"{summed.question} [calculator(1+2)->3]", summed.answer),
        (other.question, other.answer),
    ]
    tokenizer = character_tokenizer()
    tokens, labels = examples(tokenizer, written)
    assert tokens.shape == (3, LONGEST)
    taught = [tokenizer.decode(row[row >= 0]) for row in labels]
    assert taught == ["[calculator(1+2)->", f"{summed.answer}<end>", f"{other.answer}<end>"]
    assert all(len(tokenizer(text)["input_ids"]) == len(text) for pair in written for text in pair)


def test_a_short_run_gives_all_numbers_and_a_model(tmp_path: Path) -> None:
    settings = {"max_steps": "2", "questions": "250", "proposed": "210", "test": "12", "width": "16"}
    numbers = Toolformer().with_settings(settings).run(tmp_path)
    assert all(0 <= value <= 1 for value in numbers.values()) and "sums with the calculator" in numbers
    assert (tmp_path / "model" / "config.json").is_file()
