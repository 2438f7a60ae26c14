# What all jobs of the plan have in common: `use rule job as …` adds what is a phase's own.


rule job:
    log:
        "logs/job.log",
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    shell:
        "tsgbench job {params.job} --identity {params.identity} --threads {threads} > {log} 2>&1"
