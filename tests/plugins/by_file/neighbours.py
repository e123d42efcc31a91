"""One file, no package: `--method neighbours.py:Neighbours`."""

from sklearn.neighbors import KNeighborsClassifier

from epishot.methods import SklearnMethod

Neighbours = SklearnMethod.of("neighbours", KNeighborsClassifier, n_neighbors=15)
