"""`ragkit index`, `search` and `list` on small documents."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Command
from hashing_encoder import HashingEncoder


def test_build_and_search_without_an_option(ragkit: Command, notes: Path) -> None:
    built = ragkit("index", "build", "notes")
    assert (built.code, built.err) == (0, "")
    assert "3 added" in built.out and "indexes/notes" in built.out
    found = ragkit("search", "which statement ends the nearest loop?")
    assert found.code == 0
    rank, _, where, text = found.out.splitlines()[0].split("\t")
    assert rank == "1" and where.startswith("loops.txt [0:") and "break statement" in text


def test_ask_gives_json_that_every_parser_reads(ragkit: Command, indexed: Path) -> None:
    def no_constant(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    said = ragkit("ask", indexed, "Which statement ends the nearest loop?", "--reader", "--why", "--json")
    answer = json.loads(said.out, parse_constant=no_constant)
    assert "break" in answer["answer"]
    assert answer["config"]["model"] == "reader"
    assert answer["support"][0]["posterior"] == pytest.approx(1)
    # Only one passage holds the answer: log 0 in the others.
    assert {support["log_likelihood"] is None for support in answer["support"][1:]} == {True}
    assert len(answer["without"]) == 3
    (sentence,) = answer["grounding"]["sentences"]
    assert sentence["score"] > 0.5
    assert answer["grounding"]["score"] == pytest.approx(sentence["score"], rel=1e-12)
    cited = sentence["citation"]
    text = Path("notes", cited["document"]).read_text()
    assert text[cited["start"] : cited["end"]] == cited["text"] == answer["answer"]


def test_why_shows_how_well_an_answer_is_grounded(ragkit: Command, indexed: Path) -> None:
    said = ragkit("ask", indexed, "Which statement ends the nearest loop?", "--reader", "--why").out
    grounded, sentence, *_ = said[said.index("grounded ") :].splitlines()
    assert float(grounded.split()[1].rstrip(":")) > 0.5 and "<- loops.txt [" in sentence


def test_search_gives_json_with_offsets(ragkit: Command, indexed: Path, notes: Path) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        found = ragkit("search", indexed, "nearest loop", "--mode", mode, "-k", 2, "--json").json
        best = found["hits"][0]
        assert best["document"] == "loops.txt" and best["rank"] == 1
        assert (notes / "loops.txt").read_text()[best["start"] : best["end"]] == best["text"]


def test_more_hits_than_passages_gives_all(ragkit: Command, indexed: Path) -> None:
    assert len(ragkit("search", "loop", "-k", 50, "--json").json["hits"]) == 3


def test_filters(ragkit: Command, indexed: Path) -> None:
    found = ragkit("search", "loop", "--filter", 'type == "md"', "--json").json
    assert [hit["document"] for hit in found["hits"]] == ["cache.md"]


def test_a_filter_that_nothing_passes_is_told(ragkit: Command, indexed: Path) -> None:
    found = ragkit("search", indexed, "loop", "--filter", 'typo == "md"')
    said = "no passage passes the filter 'typo == \"md\"'"
    assert found.out == "" and found.err == f"{said}; no document has a field typo: did you mean type?\n"
    none = ragkit("ask", indexed, "loop?", "--filter", "words > 3 and type == 'pdf'")
    assert none.err.endswith("; no document has a field words\n")
    known = ragkit("search", indexed, "loop", "--filter", 'type == "pdf" and title != "x"')
    assert known.err == 'no passage passes the filter \'type == "pdf" and title != "x"\'\n'


def test_a_question_of_a_hundred_thousand_characters(ragkit: Command, indexed: Path) -> None:
    found = ragkit("search", indexed, "loop " * 20_000, "--json")
    assert found.code == 0 and found.json["hits"][0]["document"] == "loops.txt"


def test_add_update_delete_compact(ragkit: Command, indexed: Path, notes: Path, folder: Path) -> None:
    (folder / "new.txt").write_text("Zebras have stripes.\n")
    assert "1 added" in ragkit("index", "add", indexed, "new.txt").out
    again = ragkit("index", "add", indexed, "new.txt")
    assert again.code == 1 and "'new.txt'" in again.err and "update" in again.err
    (folder / "new.txt").write_text("Zebras have black stripes.\n")
    updated = ragkit("index", "update", indexed, "new.txt", "--json").json
    assert (updated["replaced"], updated["encoded"]) == (1, 1)
    deleted = ragkit("index", "delete", indexed, "new.txt", "nothing.txt")
    assert deleted.code == 1 and "nothing.txt" in deleted.err
    assert "new.txt" not in ragkit("search", "zebras stripes", "-k", 9).out
    compacted = ragkit("index", "compact", indexed, "--json").json
    assert (compacted["passages"], compacted["encoded"]) == (3, 0)
    assert ragkit("index", "verify", indexed).code == 0


def test_info_tells_what_computed_the_vectors(
    ragkit: Command, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ragkit("index", "info", "--json").json["computed"] == ""
    assert "computed\t" not in ragkit("index", "info").out  # this encoder does not say
    told = replace(HashingEncoder().passport(), computed="openvino bf16 2f0c")
    monkeypatch.setattr(HashingEncoder, "passport", lambda self: told)
    assert ragkit("index", "build", "notes").code == 0
    assert ragkit("index", "info", "--json").json["computed"] == "openvino bf16 2f0c"
    assert "computed\tby openvino in bf16, graph 2f0c" in ragkit("index", "info").out


def test_info_and_lists(ragkit: Command, indexed: Path) -> None:
    info = ragkit("index", "info", "--json").json
    assert info["counts"]["documents"] == 3 and info["encoder"] == "hashing-a"
    assert [row["index"] for row in ragkit("list", "indexes", "--json").json] == ["notes"]
    assert "flat" in ragkit("list", "engines").out
    assert "generator" in ragkit("list", "models").out


def test_verify_finds_what_was_tampered_with(ragkit: Command, indexed: Path) -> None:
    assert ragkit("index", "verify", "--json").json["problems"] == []
    manifest = next(Path(indexed).glob("generations/*/manifest.json"))
    manifest.write_text(manifest.read_text() + " ")
    damaged = ragkit("index", "verify", indexed)
    assert damaged.code == 1 and "damaged" in damaged.err and "Traceback" not in damaged.err


def test_what_cannot_be_read_is_skipped_and_counted(ragkit: Command, notes: Path) -> None:
    (notes / "half.txt.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    (notes / "binary.txt").write_bytes(b"\x00\x01\x02")
    built = ragkit("index", "build", "notes", "--json")
    assert built.code == 0 and built.json["added"] == 3
    assert sorted(Path(one["source"]).name for one in built.json["skipped"]) == ["binary.txt", "half.txt.gz"]
    assert "2 file(s) skipped" in ragkit("index", "build", "notes", "--out", "indexes/other").err
    strict = ragkit("index", "build", "notes", "--out", "indexes/strict", "--strict")
    assert strict.code == 1 and "strict" in strict.err


def test_evaluation_and_comparison(ragkit: Command, indexed: Path, folder: Path) -> None:
    questions = folder / "questions"
    (questions / "qrels").mkdir(parents=True)
    asked = {
        "q1": ("what ends the nearest loop?", "loops.txt"),
        "q2": ("how to turn the cache off", "cache.md"),
    }
    lines = [json.dumps({"_id": name, "text": text}) for name, (text, _) in asked.items()]
    (questions / "queries.jsonl").write_text("\n".join(lines))
    rows = [f"{name}\t{document}\t1" for name, (_, document) in asked.items()]
    (questions / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows))
    reported = ragkit("eval", "retrieval", indexed, "questions", "-k", "1,2", "--mode", "lexical,hybrid",
                      "--out", "report")  # fmt: skip
    assert reported.code == 0 and "| R@1" in reported.out and "questions/s" in reported.out
    assert {path.name for path in (folder / "report").iterdir()} == {
        "lexical.json", "hybrid.json", "retrieval.md", "recall.png",
    }  # fmt: skip
    assert (folder / "report" / "recall.png").read_bytes().startswith(b"\x89PNG")
    misspelt = ragkit("eval", "retrieval", indexed, "questions", "--mode", "lexical", "--typos", "0.5")
    assert "questions with typos in 50 % of the words, test: 2 questions" in misspelt.out
    one = ragkit(
        "eval", "retrieval", indexed, "questions", "-k", "1", "--mode", "lexical", "--run", "a.run", "--json"
    )
    assert one.json["measures"]["R@1"]["mean"] == 1.0
    assert (
        ragkit("eval", "retrieval", "a.run", "questions", "-k", "1", "--json").json["measures"]["R@1"]
        == (one.json["measures"]["R@1"])
    )
    compared = ragkit("eval", "compare", "report/lexical.json", "report/hybrid.json", "--json").json
    assert {"R@1", "nDCG@10"} <= {measure["measure"] for measure in compared["measures"]}
    runs = ragkit("eval", "compare", "a.run", "a.run", "questions", "--measure", "R@1")
    assert runs.code == 0 and "0/2/0" in runs.out
