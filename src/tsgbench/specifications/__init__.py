"""What a study shows: settings of its cells, and what each table, figure and report is made of."""
