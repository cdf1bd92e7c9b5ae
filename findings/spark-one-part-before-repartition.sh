#!/usr/bin/env bash
# Spark 4.2.0 drops coalesce(1) before repartition(n), so XGBoost 3.2.0's SparkXGBClassifier fits another
# booster to the same rows if they came in another number of parts.
#
# repartition(n) deals each part's rows by themselves: which task gets a row depends on how many parts
# there were, such as on how many nodes a cluster had when the table was made. To ask for one part
# first, which would make that the same, changes nothing: the optimizer removes it (CollapseRepartition).
# A fit that begins again with fewer nodes, after one was lost, is then another model. repartitionById
# by a row's number, and sortWithinPartitions, give the same booster each time.
#
# It needs python3.11, Java 17 or 21, and access to a package index. Status 0: it is still as said here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 pandas==2.3.3 pyarrow==25.0.1 pyspark==4.2.0 scikit-learn==1.9.1 xgboost-cpu==3.2.0
cat >boosters.py <<'PYTHON'
import functools
import hashlib
import sys

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from xgboost.spark import SparkXGBClassifier

random = np.random.default_rng(0)
rows = pd.DataFrame(random.normal(size=(600, 3)), columns=["a", "b", "c"])
rows["label"] = (rows.sum(axis=1) + random.normal(size=600) > 0).astype(int)
rows["place"] = np.arange(600)
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()


def in_parts(count):
    cuts = [rows.iloc[each] for each in np.array_split(np.arange(len(rows)), count)]
    tables = [spark.createDataFrame(each).coalesce(1) for each in cuts]
    return functools.reduce(lambda one, other: one.union(other), tables)


def one_part_first(table):
    return table.coalesce(1).repartition(2)


def by_number(table):
    part = (table["place"] % 2).cast("int")
    return table.repartitionById(2, part).sortWithinPartitions("place")


def booster(table):
    estimator = SparkXGBClassifier(
        features_col=["a", "b", "c"], label_col="label", num_workers=2, n_estimators=5, subsample=0.5, seed=1
    )
    return hashlib.sha256(estimator.fit(table).get_booster().save_raw("ubj")).hexdigest()[:12]


plan = one_part_first(in_parts(2))._jdf.queryExecution().optimizedPlan().toString()
kept = "Repartition 1, false" in plan.split("Union")[0]
print("the optimized plan has coalesce(1) after the parts are together:", kept)
found = {
    deal.__name__: [booster(deal(in_parts(count))) for count in (1, 2, 3)]
    for deal in (one_part_first, by_number)
}
for name, boosters in found.items():
    print(f"{name}: boosters of the same rows in 1, 2 and 3 parts: {' '.join(boosters)}")
spark.stop()
sys.exit(
    kept or len(set(found["one_part_first"])) == 1 or len(set(found["by_number"])) != 1
)
PYTHON
PYSPARK_PYTHON=$folder/environment/bin/python environment/bin/python boosters.py 2>errors || { cat errors >&2; exit 1; }
