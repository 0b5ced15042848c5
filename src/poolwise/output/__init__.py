"""What is shown, written or translated: tables, charts, reports, code for other systems."""
