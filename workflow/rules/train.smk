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
    group:
        CELLS
    conda:
        "../../envs/tsgbench.yaml"
    threads: for_training("threads", 4, otherwise=1)
    resources:
        gpu=for_training("gpu", 1, otherwise=0),
        gpu_model=for_training("gpu_model", None),
        mem_mb=reserved("train", "mem_mb", 16000),
        runtime=for_training("runtime", 1440, otherwise=30),
        small=lambda wildcards: 0 if is_trained(wildcards) else 4,
    params:
        identity=identity("train"),
    message:
        "Training {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench job train {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} --threads {threads} > {log} 2>&1"
