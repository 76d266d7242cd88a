"""What scikit-learn does in several processes: functions of X and y to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import (
    cluster,
    decomposition,
    ensemble,
    feature_selection,
    inspection,
    linear_model,
    metrics,
    model_selection,
    multiclass,
    multioutput,
    neighbors,
)

JOBS = 2


def _predicted(model: Any) -> Any:
    return lambda x, y: model.fit(x, y).predict(x)


def _permuted(x: Any, y: Any) -> Any:
    model = linear_model.LinearRegression().fit(x, y)
    found = inspection.permutation_importance(
        model, x, y, n_repeats=3, random_state=0, n_jobs=JOBS
    )
    return found.importances


def _searched(x: Any, y: Any) -> Any:
    search = model_selection.GridSearchCV(
        linear_model.Ridge(), {"alpha": [0.1, 1.0]}, n_jobs=JOBS, cv=3
    )
    return search.fit(x, y).cv_results_["mean_test_score"]


def _learned(x: Any, y: Any) -> Any:
    model = linear_model.Ridge()
    return model_selection.learning_curve(model, x, y, n_jobs=JOBS, cv=3)[2]


def _selected(x: Any, y: Any) -> Any:
    model = linear_model.Ridge()
    return feature_selection.RFECV(model, cv=3, n_jobs=JOBS).fit(x, y).ranking_


_SMALL = {"n_estimators": 4, "random_state": 0, "n_jobs": JOBS}
_RIDGE = linear_model.Ridge()

WORK = {
    "permutation_importance": _permuted,
    "cross_val_score": lambda x, y: model_selection.cross_val_score(
        _RIDGE, x, y, n_jobs=JOBS, cv=3
    ),
    "cross_val_predict": lambda x, y: model_selection.cross_val_predict(
        _RIDGE, x, y, n_jobs=JOBS, cv=3
    ),
    "permutation_test_score": lambda x, y: model_selection.permutation_test_score(
        _RIDGE, x, y, n_jobs=JOBS, cv=3, n_permutations=4, random_state=0
    )[1],
    "learning_curve": _learned,
    "GridSearchCV": _searched,
    "RFECV": _selected,
    "RandomForestRegressor": _predicted(ensemble.RandomForestRegressor(**_SMALL)),
    "ExtraTreesRegressor": _predicted(ensemble.ExtraTreesRegressor(**_SMALL)),
    "BaggingRegressor": _predicted(ensemble.BaggingRegressor(**_SMALL)),
    "IsolationForest": lambda x, _: (
        ensemble.IsolationForest(**_SMALL).fit(x).score_samples(x)
    ),
    "StackingRegressor": _predicted(
        ensemble.StackingRegressor([("ridge", _RIDGE)], n_jobs=JOBS, cv=3)
    ),
    "VotingRegressor": _predicted(
        ensemble.VotingRegressor(
            [("ridge", _RIDGE), ("line", linear_model.LinearRegression())], n_jobs=JOBS
        )
    ),
    "KNeighborsRegressor": _predicted(neighbors.KNeighborsRegressor(n_jobs=JOBS)),
    "brute KNeighborsRegressor": _predicted(
        neighbors.KNeighborsRegressor(n_jobs=JOBS, algorithm="brute")
    ),
    "OneVsRestClassifier": lambda x, y: (
        multiclass.OneVsRestClassifier(linear_model.RidgeClassifier(), n_jobs=JOBS)
        .fit(x, np.digitize(np.asarray(y), [-50, 50]))
        .decision_function(x)
    ),
    "MultiOutputRegressor": lambda x, y: (
        multioutput.MultiOutputRegressor(_RIDGE, n_jobs=JOBS)
        .fit(x, np.column_stack([np.asarray(y), -np.asarray(y)]))
        .predict(x)
    ),
    "LassoCV": lambda x, y: linear_model.LassoCV(cv=3, n_jobs=JOBS).fit(x, y).mse_path_,
    "pairwise_distances": lambda x, _: metrics.pairwise_distances(
        x, metric="euclidean", n_jobs=JOBS
    ),
    "MeanShift": lambda x, _: (
        cluster.MeanShift(bandwidth=3.0, n_jobs=JOBS).fit(x).cluster_centers_
    ),
    "DictionaryLearning": lambda x, _: decomposition.DictionaryLearning(
        3, max_iter=2, n_jobs=JOBS, random_state=0
    ).fit_transform(x),
}
DENSE_ONLY = {"permutation_importance", "MeanShift", "DictionaryLearning"}
