"""What `tsgbench init` writes: templates, in which STUDY stands for the name of the study."""
