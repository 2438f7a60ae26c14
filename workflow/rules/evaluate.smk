# What is asked of one cell: its scores, from its prediction file alone; of a trained one, too, what it
# attends to; how large and how fast it is.


# A cell that another program predicted
rule adopt:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("adopt", "mem_mb", 2000),
        runtime=reserved("adopt", "runtime", 10),
        small=1,
    params:
        identity=identity("adopt"),
    message:
        "Adopting the predictions of {wildcards.model} on {wildcards.dataset}"
    shell:
        "tsgbench job adopt {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} > {log} 2>&1"


rule evaluate:
    input:
        unpack(reads("evaluate", "annotations", "run")),
    output:
        **makes("evaluate", "record", "scores"),
    log:
        LOGS["evaluate"],
    benchmark:
        BENCHMARKS["evaluate"]
    group:
        CELLS
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("evaluate", "mem_mb", 1000),
        runtime=reserved("evaluate", "runtime", 10),
        small=1,
    params:
        identity=identity("evaluate"),
    message:
        "Evaluating {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench job evaluate {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} > {log} 2>&1"


# Attention maps and predictions of chosen queries, for qualitative figures
rule inspect:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("train", "threads", 4)
    resources:
        gpu=reserved("train", "gpu", 1),
        gpu_model=reserved("train", "gpu_model", None),
        mem_mb=reserved("train", "mem_mb", 16000),
        runtime=reserved("inspect", "runtime", 60),
    params:
        identity=identity("inspect"),
    message:
        "Inspecting {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench job inspect {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} --threads {threads} > {log} 2>&1"


# Its size and speed on this machine, which it should have to itself
rule measure:
    input:
        unpack(reads("measure", "annotations", "features", "vocabulary", "run")),
    output:
        record=RECORDS["measure"],
    log:
        LOGS["measure"],
    benchmark:
        BENCHMARKS["measure"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("train", "threads", 4)
    resources:
        gpu=reserved("train", "gpu", 1),
        gpu_model=reserved("train", "gpu_model", None),
        mem_mb=reserved("train", "mem_mb", 16000),
        runtime=reserved("measure", "runtime", 60),
    params:
        identity=identity("measure"),
    message:
        "Measuring {wildcards.model} on {wildcards.dataset} ({wildcards.ablation}), seed {wildcards.seed}"
    shell:
        "tsgbench job measure {wildcards.model}/{wildcards.dataset}/{wildcards.ablation}/seed{wildcards.seed}"
        " --identity {params.identity} --threads {threads} > {log} 2>&1"
