"""Score tables of any size on Apache Spark, on one machine or on a cluster."""
