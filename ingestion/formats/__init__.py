"""One raw record to the fields of a LogRecord, one file per source."""
