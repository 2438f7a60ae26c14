# Features: clips of every video through an extractor, then centred, standardised and projected; or
# as others released them.


rule extract:
    input:
        unpack(reads("extract", "annotations", "videos", "checkpoint")),
    output:
        **makes("extract", "record", "features", "failed"),
    log:
        LOGS["extract"],
    benchmark:
        BENCHMARKS["extract"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("extract", "threads", 2)
    resources:
        gpu=reserved("extract", "gpu", 1),
        gpu_model=reserved("extract", "gpu_model", None),
        mem_mb=reserved("extract", "mem_mb", 8000),
        runtime=reserved("extract", "runtime", 1440),
    params:
        identity=identity("extract"),
    message:
        "Extracting {wildcards.clips} from the videos of {wildcards.dataset}"
    shell:
        "tsgbench job extract {wildcards.dataset}/{wildcards.clips} --identity {params.identity}"
        " --threads {threads} > {log} 2>&1"


rule reduce:
    input:
        unpack(reads("reduce", "annotations", "clips")),
    output:
        **makes("reduce", "record", "features"),
    log:
        LOGS["reduce"],
    benchmark:
        BENCHMARKS["reduce"]
    wildcard_constraints:
        features=planned("reduce", "features"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("reduce", "threads", 2)
    resources:
        gpu=0,
        mem_mb=reserved("reduce", "mem_mb", 4000),
        runtime=reserved("reduce", "runtime", 120),
    params:
        identity=identity("reduce"),
    message:
        "Reducing {wildcards.features} of {wildcards.dataset}"
    shell:
        "tsgbench job reduce {wildcards.dataset}/{wildcards.features} --identity {params.identity}"
        " --threads {threads} > {log} 2>&1"


rule released:
    input:
        unpack(reads("released", "annotations", "released", "vectors")),
    output:
        **makes("released", "record", "features", "failed"),
    log:
        LOGS["released"],
    benchmark:
        BENCHMARKS["released"]
    wildcard_constraints:
        features=planned("released", "features"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("released", "mem_mb", 2000),
        runtime=reserved("released", "runtime", 240),
    params:
        identity=identity("released"),
    message:
        "Reading the released features {wildcards.features} of {wildcards.dataset}"
    shell:
        "tsgbench job released {wildcards.dataset}/{wildcards.features} --identity {params.identity}"
        " > {log} 2>&1"


rule blank:
    input:
        unpack(reads("blank", "annotations")),
    output:
        **makes("blank", "record", "features"),
    log:
        LOGS["blank"],
    benchmark:
        BENCHMARKS["blank"]
    wildcard_constraints:
        features=planned("blank", "features"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("blank", "mem_mb", 1000),
        runtime=reserved("blank", "runtime", 30),
    params:
        identity=identity("blank"),
    message:
        "Writing the time axis of {wildcards.dataset}, without video"
    shell:
        "tsgbench job blank {wildcards.dataset}/{wildcards.features} --identity {params.identity} > {log} 2>&1"
