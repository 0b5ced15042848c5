"""Charts: functions of a posterior, one a file; each returns an Altair chart."""
