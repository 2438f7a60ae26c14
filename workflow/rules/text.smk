# Words: vectors learned from the training sentences (or downloaded), and the vocabulary.


use rule job as vectors with:
    input:
        unpack(reads("vectors", "annotations")),
    output:
        **makes("vectors", "record", "vectors"),
    log:
        LOGS["vectors"],
    benchmark:
        BENCHMARKS["vectors"]
    resources:
        **reserves("vectors"),
    params:
        **runs("vectors"),
    message:
        "Learning word vectors from the sentences of {wildcards.dataset}"


use rule job as vocabulary with:
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
    resources:
        **reserves("vocabulary", mem_mb=4000, runtime=60),
    params:
        **runs("vocabulary"),
    message:
        "Building the vocabulary of {wildcards.dataset}"
