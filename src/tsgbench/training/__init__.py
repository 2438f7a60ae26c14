"""Training of one cell: its data as batches, the trainer, optimisers, devices, and what it costs.

`assembly` puts a cell together, `data` makes its batches, `trainer` trains and predicts, `cost`
measures; `devices` chooses the processor, and `slots` shares a GPU out.
"""
