# Raw data: files from upstream or a mirror, videos rendered or joined by code, annotations as one table.


rule fetch:
    input:
        unpack(reads("download", ...)),
    output:
        record=RECORDS["download"],
    log:
        LOGS["download"],
    benchmark:
        BENCHMARKS["download"]
    wildcard_constraints:
        source=planned("download", "source"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("download", "mem_mb", 500),
        runtime=reserved("download", "runtime", 720),
    params:
        identity=identity("download"),
    message:
        "Downloading {wildcards.source}"
    shell:
        "tsgbench job download {wildcards.source} --identity {params.identity} > {log} 2>&1"


rule render:
    input:
        unpack(reads("render")),
    output:
        record=RECORDS["render"],
    log:
        LOGS["render"],
    benchmark:
        BENCHMARKS["render"]
    wildcard_constraints:
        dataset=planned("render", "dataset"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("render", "threads", 2)
    resources:
        gpu=0,
        mem_mb=reserved("render", "mem_mb", 1500),
        runtime=reserved("render", "runtime", 30),
    params:
        identity=identity("render"),
    message:
        "Rendering the videos of {wildcards.dataset}"
    shell:
        "tsgbench job render {wildcards.dataset} --identity {params.identity}"
        " --threads {threads} > {log} 2>&1"


rule join:
    input:
        unpack(reads("join", "sentences", "videos")),
    output:
        record=RECORDS["join"],
    log:
        LOGS["join"],
    benchmark:
        BENCHMARKS["join"]
    wildcard_constraints:
        dataset=planned("join", "dataset"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("join", "threads", 2)
    resources:
        gpu=0,
        mem_mb=reserved("join", "mem_mb", 1500),
        runtime=reserved("join", "runtime", 30),
    params:
        identity=identity("join"),
    message:
        "Joining the videos of {wildcards.dataset}"
    shell:
        "tsgbench job join {wildcards.dataset} --identity {params.identity}"
        " --threads {threads} > {log} 2>&1"


rule gather:
    input:
        unpack(reads("gather")),
    output:
        record=RECORDS["gather"],
    log:
        LOGS["gather"],
    benchmark:
        BENCHMARKS["gather"]
    wildcard_constraints:
        dataset=planned("gather", "dataset"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: reserved("gather", "threads", 2)
    resources:
        gpu=0,
        mem_mb=reserved("gather", "mem_mb", 1000),
        runtime=reserved("gather", "runtime", 120),
    params:
        identity=identity("gather"),
    message:
        "Gathering the files of {wildcards.dataset}"
    shell:
        "tsgbench job gather {wildcards.dataset} --identity {params.identity}"
        " --threads {threads} > {log} 2>&1"


rule annotations:
    input:
        unpack(reads("annotations", ...)),
    output:
        record=RECORDS["annotations"],
    log:
        LOGS["annotations"],
    benchmark:
        BENCHMARKS["annotations"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("annotations", "mem_mb", 1000),
        runtime=reserved("annotations", "runtime", 30),
    params:
        identity=identity("annotations"),
    message:
        "Reading the annotations of {wildcards.dataset}"
    shell:
        "tsgbench job annotations {wildcards.dataset} --identity {params.identity} > {log} 2>&1"
