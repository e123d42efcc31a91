"""A healthy plugin as the README writes one: any scikit-learn classifier in one line."""

from sklearn.neighbors import KNeighborsClassifier

from epishot.methods import Scale, SklearnMethod

Knn = SklearnMethod.of("knn", KNeighborsClassifier, n_neighbors=15, scale=Scale.RANK, standardise=True)
