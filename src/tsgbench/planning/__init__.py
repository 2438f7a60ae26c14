"""What a study asks for: where results live, its cells, its tables and other reports."""
