"""What a fit looks like on paper: tables and the summary."""
