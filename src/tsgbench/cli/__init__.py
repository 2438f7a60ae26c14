"""The command line: `tsgbench job` runs a phase of the pipeline, the other verbs show and check.

`main` reads the arguments, `verbs` does what they ask, `running` runs a job and writes its record.
"""
