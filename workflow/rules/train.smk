# One cell: a (model, data set, ablation, seed), trained, and its test split predicted.


rule train:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("train", "threads", 4)
    resources:
        gpu=reserved("train", "gpu", 1),
        mem_mb=reserved("train", "mem_mb", 16000),
        runtime=reserved("train", "runtime", 1440),
    params:
        identity=identity("train"),
    message:
        "Training {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench job train {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} --threads {threads} > {log} 2>&1"
