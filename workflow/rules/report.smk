# What people read: MLflow runs, tables, and the files behind `dvc metrics` and `dvc plots`.


rule track:
    input:
        inputs("track"),
    output:
        record=RECORDS["track"],
    log:
        LOGS["track"],
    benchmark:
        BENCHMARKS["track"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("track", "mem_mb", 1000),
        runtime=reserved("track", "runtime", 120),
    params:
        identity=identity("track"),
    message:
        "Logging the cells of this study to MLflow"
    shell:
        "tsgbench track cells --identity {params.identity} > {log} 2>&1"


rule table:
    input:
        inputs("table"),
        # Logged before it is printed; but a table does not change because MLflow does
        tracked=ancient(RECORDS["track"]),
    output:
        record=RECORDS["table"],
        tex=report(
            FILES["table"]["tex"],
            category="Tables",
            caption="../report/table.rst",
        ),
        csv=FILES["table"]["csv"],
        markdown=FILES["table"]["markdown"],
        provenance=FILES["table"]["provenance"],
    log:
        LOGS["table"],
    benchmark:
        BENCHMARKS["table"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("table", "mem_mb", 1000),
        runtime=reserved("table", "runtime", 30),
    params:
        identity=identity("table"),
    message:
        "Writing {wildcards.table}"
    shell:
        "tsgbench table {wildcards.table} --identity {params.identity} > {log} 2>&1"


rule summary:
    input:
        inputs("summary"),
    output:
        **FILES["summary"],
        record=RECORDS["summary"],
    log:
        LOGS["summary"],
    benchmark:
        BENCHMARKS["summary"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("summary", "mem_mb", 1000),
        runtime=reserved("summary", "runtime", 30),
    params:
        identity=identity("summary"),
    message:
        "Writing metrics and curves for DVC"
    shell:
        "tsgbench summary cells --identity {params.identity} > {log} 2>&1"


rule pdf:
    input:
        tex=FILES["table"]["tex"],
    output:
        pdf=report(
            "results/{table}.pdf",
            category="Tables",
            caption="../report/table.rst",
        ),
    log:
        "logs/pdf/{table}.log",
    benchmark:
        "logs/benchmarks/pdf/{table}.tsv"
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=30,
    params:
        tex=lambda wildcards, input: input.tex,
    message:
        "Compiling {wildcards.table} to PDF"
    shell:
        "tsgbench pdf {params.tex} > {log} 2>&1"
