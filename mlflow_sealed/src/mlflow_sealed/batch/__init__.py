"""Score tables of any size: in processes of one machine, or on Apache Spark."""
