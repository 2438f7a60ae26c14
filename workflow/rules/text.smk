# Words: vectors learned from the training sentences (or downloaded), and the vocabulary.


rule vectors:
    input:
        unpack(reads("vectors", "annotations")),
    output:
        **makes("vectors", "record", "vectors"),
    log:
        LOGS["vectors"],
    benchmark:
        BENCHMARKS["vectors"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("vectors", "mem_mb", 1000),
        runtime=reserved("vectors", "runtime", 30),
    params:
        identity=identity("vectors"),
    message:
        "Learning word vectors from the sentences of {wildcards.dataset}"
    shell:
        "tsgbench job vectors {wildcards.dataset} --identity {params.identity} > {log} 2>&1"


rule vocabulary:
    input:
        unpack(reads("vocabulary", "annotations", "vectors")),
    output:
        **makes("vocabulary", "record", "words"),
    log:
        LOGS["vocabulary"],
    benchmark:
        BENCHMARKS["vocabulary"]
    wildcard_constraints:
        tokenizer=planned("vocabulary", "tokenizer"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("vocabulary", "mem_mb", 4000),
        runtime=reserved("vocabulary", "runtime", 60),
    params:
        identity=identity("vocabulary"),
    message:
        "Building the vocabulary of {wildcards.dataset}"
    shell:
        "tsgbench job vocabulary {wildcards.dataset}/{wildcards.tokenizer} --identity {params.identity} > {log} 2>&1"
