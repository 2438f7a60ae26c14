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
    group:
        CELLS
    threads: where_trained(TRAINING_THREADS, otherwise=1)
    resources:
        gpu=where_trained(TRAINING["gpu"], otherwise=0),
        gpu_model=where_trained(TRAINING["gpu_model"]),
        mem_mb=reserved("train", "mem_mb", TRAINING["mem_mb"]),
        runtime=where_trained(reserved("train", "runtime", 1440), otherwise=30),
        small=lambda wildcards: 0 if takes_epochs(wildcards) else 4,
    params:
        **runs("train"),
    message:
        "Training {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
