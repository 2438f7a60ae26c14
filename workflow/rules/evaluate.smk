# Scores of one cell, from its prediction file alone.


rule evaluate:
    input:
        inputs("evaluate"),
    output:
        **FILES["evaluate"],
        record=RECORDS["evaluate"],
    log:
        LOGS["evaluate"],
    benchmark:
        BENCHMARKS["evaluate"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("evaluate", "mem_mb", 1000),
        runtime=reserved("evaluate", "runtime", 30),
    params:
        identity=identity("evaluate"),
    message:
        "Evaluating {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench evaluate {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} > {log} 2>&1"
