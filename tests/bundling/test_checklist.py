"""What the checklist counts, on invented contents: nothing was trained."""

from types import SimpleNamespace

from tsgbench.bundling.checklist import _evaluation

QUESTION = "Are there controls that see no video?"


def trained(cell: str, **inputs) -> SimpleNamespace:
    model, dataset, ablation, _ = cell.split("/")
    settings = {
        "inputs": inputs,
        "train": {"epochs": 3} if model == "seqpan" else {},
        "splits": {"select": ["val"], "test": ["test"]},
    }
    content = {"settings": settings, "phase": "train", "key": cell}
    facts = {"parameters": 9}
    record = SimpleNamespace(content=content, facts=facts, accepted=None, path=cell)
    job = SimpleNamespace(
        record=f"results/{cell}/run.json",
        key=cell,
        phase="train",
        wildcards={"model": model, "dataset": dataset, "ablation": ablation},
    )
    return SimpleNamespace(job=job, record=record)


def evaluated(cell: str) -> SimpleNamespace:
    one = trained(cell)
    one.record.content["settings"]["conventions"] = {"seconds": {}}
    one.record.facts = {"queries": 5, "of_queries": 5}
    return one


def test_controls_that_see_no_video_are_told_by_what_they_are_given():
    """A baseline that looks for cuts, or compares captions, is none of them."""
    cells = [
        trained("prior/real/full/seed0", video="zero"),
        trained("seqpan/real/blind@val_1/seed0", video="zero"),
        trained("cuts/real/full/seed0"),
        trained("match/real/mismatched/seed0", video="mismatched"),
        trained("seqpan/real/full/seed0", video="real"),
    ]
    found = {"train": cells, "evaluate": [evaluated("prior/real/full/seed0")]}
    contents = SimpleNamespace(
        of_phase=lambda *phases: [one for phase in phases for one in found.get(phase, [])]
    )
    answers = {question: (said, where) for question, said, where in _evaluation(contents)}
    said, where = answers[QUESTION]
    assert said == "2 cells of baselines and blind models"
    assert where == [one.job.record for one in cells[:2]]
