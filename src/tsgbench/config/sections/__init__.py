"""What each section of a config file may hold: types, bounds, choices, defaults and help, once.

One module per file of `config/`. The models are pydantic's; they check and change nothing, so that
the values which a job is identified by are those of the file.
"""
