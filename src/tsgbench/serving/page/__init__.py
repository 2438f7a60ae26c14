"""What a browser gets: a template, a style beside that of the reports, and a script."""
