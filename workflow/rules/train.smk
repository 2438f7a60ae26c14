# One cell: a (model, data set, ablation, seed), trained, and its test split predicted.


use rule job as train with:
    input:
        unpack(reads("train", "annotations", "features", "vocabulary")),
    output:
        **makes("train", "record", "checkpoint", "history", "predictions"),
    log:
        LOGS["train"],
    benchmark:
        BENCHMARKS["train"]
    wildcard_constraints:
        model=unplanned("adopt", "model"),
    threads: TRAINING_THREADS
    resources:
        **reserves("train", **TRAINING, runtime=1440),
    params:
        **runs("train"),
    message:
        "Training {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
