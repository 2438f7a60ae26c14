# One cell: a (model, data set, ablation, seed), trained, its test split predicted, and scored.


use rule job as cell with:
    input:
        unpack(reads("train", "annotations", "features", "vocabulary", then="evaluate")),
    output:
        **makes("train", "record", "checkpoint", "history", "predictions"),
        metrics=RECORDS["evaluate"],
        scores=FILES["evaluate"]["scores"],
    log:
        LOGS["train"],
    benchmark:
        BENCHMARKS["train"]
    wildcard_constraints:
        model=IS_TO_TRAIN + unplanned("adopt", "model"),
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
        **runs("train", "--score {then}", then="evaluate"),
    message:
        "Training and scoring {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"


# One that is trained already, and is trained again only where Snakemake is told to
use rule cell as train with:
    input:
        unpack(reads("train", "annotations", "features", "vocabulary")),
    output:
        **makes("train", "record", "checkpoint", "history", "predictions"),
    wildcard_constraints:
        model=IS_PREDICTED + unplanned("adopt", "model"),
    params:
        **runs("train"),
    message:
        "Training {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
