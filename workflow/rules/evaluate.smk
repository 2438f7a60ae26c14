# What is asked of one cell: its scores, from its prediction file alone; of a trained one, too, what it
# attends to; how large and how fast it is.


# A cell that another program predicted
use rule job as adopt with:
    input:
        unpack(reads("adopt", "annotations")),
    output:
        **makes("adopt", "record", "predictions"),
    log:
        LOGS["adopt"],
    benchmark:
        BENCHMARKS["adopt"]
    wildcard_constraints:
        model=planned("adopt", "model"),
    group:
        CELLS
    resources:
        **reserves("adopt", mem_mb=2000, runtime=10, small=1),
    params:
        **runs("adopt"),
    message:
        "Adopting the predictions of {wildcards.model} on {wildcards.dataset}"


use rule job as evaluate with:
    input:
        unpack(reads("evaluate", "annotations", "run")),
    output:
        **makes("evaluate", "record", "scores"),
    log:
        LOGS["evaluate"],
    benchmark:
        BENCHMARKS["evaluate"]
    wildcard_constraints:
        model=IS_PREDICTED + "[a-z0-9_]+",
    group:
        CELLS
    resources:
        **reserves("evaluate", runtime=10, small=1),
    params:
        **runs("evaluate"),
    message:
        "Evaluating {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"


# Attention maps and predictions of chosen queries, for qualitative figures
use rule job as inspect with:
    input:
        unpack(
            reads("inspect", "annotations", "features", "vocabulary", "run", "metrics", "videos")
        ),
    output:
        **makes("inspect", "record", "maps"),
    log:
        LOGS["inspect"],
    benchmark:
        BENCHMARKS["inspect"]
    threads: TRAINING_THREADS
    resources:
        **reserves("inspect", **TRAINING, runtime=60),
    params:
        **runs("inspect"),
    message:
        "Inspecting {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"


# Its size and speed on this machine, which it should have to itself
use rule job as measure with:
    input:
        unpack(reads("measure", "annotations", "features", "vocabulary", "run")),
    output:
        record=RECORDS["measure"],
    log:
        LOGS["measure"],
    benchmark:
        BENCHMARKS["measure"]
    threads: TRAINING_THREADS
    resources:
        **reserves("measure", **TRAINING, runtime=60),
    params:
        **runs("measure"),
    message:
        "Measuring {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
