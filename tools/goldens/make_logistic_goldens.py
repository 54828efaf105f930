"""Logistic regression by scikit-learn, class biases by scipy.

usage: make_logistic_goldens.py OUT_DIR

Writes OUT_DIR/logistic.safetensors:
- fits: optima for several C, of few-shot shapes (more dimensions than images),
  of classes that overlap, and of two classes, where scikit-learn learns one
  weight vector;
- searches: the C that the protocol of CoOp's lpclip/linear_probe.py picks,
  where the solver's tolerance does not decide it;
- class biases of given logits.
The solver is Newton's method to a tolerance that L-BFGS of scikit-learn does
not reach; that L-BFGS finds the same objective is checked here.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

PRIOR_PENALTY = 0.01  # kPriorPenalty of learners/class_prior.h


def draw(rng, classes, dim, counts, noise, centres=None, scale=1.0):
    if centres is None:
        centres = rng.normal(size=(classes, dim))
    labels = np.concatenate([np.full(n, c) for c, n in enumerate(counts)])
    images = centres[labels] + noise * rng.normal(size=(len(labels), dim))
    # What the service gets is float32.
    return (scale * images).astype(np.float32), labels, centres


def objective(model, images, labels, c):
    logits = model.decision_function(images.astype(np.float64))
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return c * losses.sum() + 0.5 * (model.coef_ ** 2).sum()


def optimum(images, labels, c):
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12,
                               max_iter=10000)
    return model.fit(images.astype(np.float64), labels)


def fits(rng):
    cases = {"few": draw(rng, 5, 16, [4] * 5, 0.9),
             "overlapping": draw(rng, 3, 6, [11, 20, 17], 1.6, scale=3.0),
             "two": draw(rng, 2, 8, [9, 14], 1.2)}
    tensors, numbers = {}, {}
    for name, (images, labels, _) in cases.items():
        tensors[f"{name}.images"] = images
        tensors[f"{name}.labels"] = labels
        for power in (-4, -2, 0, 2, 6):
            c = 10.0 ** power
            model = optimum(images, labels, c)
            value = objective(model, images, labels, c)
            if power < 6:
                other = LogisticRegression(
                    C=c, solver="lbfgs", tol=1e-10, max_iter=100000).fit(
                        images.astype(np.float64), labels)
                assert abs(objective(other, images, labels, c) -
                           value) <= 1e-8 * value
            weights, bias = model.coef_, model.intercept_
            if len(weights) == 1:  # w = W_1 - W_0, W_1 = -W_0
                weights = np.concatenate([-weights, weights]) / 2
                bias = np.concatenate([-bias, bias]) / 2
            key = f"{name}.{power}"
            tensors[f"{key}.weights"] = weights
            tensors[f"{key}.bias"] = bias
            numbers[key] = value
            print(key, "objective", value)
    return tensors, numbers


def correct(train, validation, c, exact):
    if exact:
        model = optimum(*train, c)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(
                solver="lbfgs", max_iter=1000, C=c).fit(*train)
    return int((model.predict(validation[0]) == validation[1]).sum())


def protocol(train, validation, exact=True):
    """search_list and binary_search of lpclip/linear_probe.py."""
    def score(c):
        return correct(train, validation, c, exact)

    search_list = [1e6, 1e4, 1e2, 1, 1e-2, 1e-4, 1e-6]
    scores = [score(c) for c in search_list]
    told = list(scores)
    peak = search_list[int(np.argmax(scores))]
    left, right = 1e-1 * peak, 1e1 * peak
    for step in range(8):
        of_left, of_right = score(left), score(right)
        told += [of_left, of_right]
        if of_left < of_right:
            final, best = right, of_right
            left = 10 ** (0.5 * (np.log10(right) + np.log10(left)))
        else:
            final, best = left, of_left
            right = 10 ** (0.5 * (np.log10(right) + np.log10(left)))
    return final, best, told


def searches(rng):
    tensors, numbers = {}, []
    for i, (noise, scale) in enumerate(
            [(1.6, 1.0), (1.8, 0.1), (1.4, 5.0), (2.0, 1.0)]):
        # Where a fit is stopped must not decide: images that lie on a border at
        # scikit-learn's default tolerance are drawn again.
        while True:
            images, labels, centres = draw(rng, 4, 32, [4] * 4, noise,
                                           scale=scale)
            validation = draw(rng, 4, 32, [12] * 4, noise, centres, scale)[:2]
            final, best, told = protocol((images, labels), validation)
            default = protocol((images, labels), validation, exact=False)
            if default == (final, best, told):
                break
        print("search", i, "C", final, "of", told)
        tensors |= {f"search{i}.images": images, f"search{i}.labels": labels,
                    f"search{i}.validation_images": validation[0],
                    f"search{i}.validation_labels": validation[1]}
        numbers.append({"c": final, "correct": best, "grid": told[:7]})
    return tensors, numbers


def prior(rng):
    """Biases of logits [N, C]; class 0 is too likely, class 3 has no image."""
    labels = rng.integers(0, 3, size=40)
    logits = (2 * np.eye(4)[labels] + rng.normal(size=(40, 4)) +
              [3, 0, 0, 0]).astype(np.float32)

    def loss(bias):
        z = log_softmax(logits.astype(np.float64) + bias, axis=1)
        gradient = np.exp(z)
        gradient[np.arange(40), labels] -= 1
        return (-z[np.arange(40), labels].sum() +
                PRIOR_PENALTY / 2 * (bias ** 2).sum(),
                gradient.sum(0) + PRIOR_PENALTY * bias)

    best = minimize(loss, np.zeros(4), jac=True, method="BFGS",
                    options={"gtol": 1e-10, "maxiter": 10000})
    print("prior", best.x, best.fun)
    return {"prior.logits": logits, "prior.labels": labels,
            "prior.bias": best.x}, best.fun


def main(out):
    rng = np.random.default_rng(5)
    tensors, objectives = fits(rng)
    search_tensors, search_numbers = searches(rng)
    prior_tensors, prior_objective = prior(rng)
    path = out / "logistic.safetensors"
    save_file({key: torch.from_numpy(np.ascontiguousarray(
        value, dtype=np.float32)) for key, value in
        (tensors | search_tensors | prior_tensors).items()}, path,
        metadata={"objectives": json.dumps(objectives),
                  "searches": json.dumps(search_numbers),
                  "prior_objective": json.dumps(prior_objective)})
    path.chmod(0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
