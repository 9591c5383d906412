"""Slow, obvious versions of the detectors that learn row by row. Correct by reading."""

import math
from collections.abc import Sequence


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class Net:
    """An autoencoder whose weights are used both ways; lists of Python floats."""

    def __init__(self, weight, hidden_bias, input_bias):
        self.w = [list(map(float, line)) for line in weight]  # inputs x hidden
        self.b = list(map(float, hidden_bias))
        self.c = list(map(float, input_bias))

    def look(self, x):
        """Hidden units, what is left of each input, and the root mean squared difference."""
        y = [
            logistic(b + math.fsum(x[j] * self.w[j][h] for j in range(len(x))))
            for h, b in enumerate(self.b)
        ]
        z = [
            logistic(c + math.fsum(y[h] * self.w[j][h] for h in range(len(y))))
            for j, c in enumerate(self.c)
        ]
        d = [a - b for a, b in zip(x, z, strict=True)]
        return y, d, math.sqrt(math.fsum(e * e for e in d) / len(d))

    def learn(self, x, rate):
        y, d, error = self.look(x)
        back = [
            math.fsum(d[j] * self.w[j][h] for j in range(len(x))) * y[h] * (1 - y[h])
            for h in range(len(y))
        ]
        for j in range(len(x)):
            for h in range(len(y)):
                self.w[j][h] += rate * (x[j] * back[h] + d[j] * y[h])
        self.b = [b + rate * g for b, g in zip(self.b, back, strict=True)]
        self.c = [c + rate * e for c, e in zip(self.c, d, strict=True)]
        return error


class Kitnet:
    """Nets of groups of inputs, one net over their errors; ranges of errors widen as asked."""

    def __init__(self, groups: Sequence[Sequence[int]], nets: Sequence[Net], over: Net):
        self.groups, self.nets, self.over = groups, nets, over
        self.low, self.high = [math.inf] * len(nets), [-math.inf] * len(nets)

    def _scaled(self, k, error):
        return (error - self.low[k]) / max(self.high[k] - self.low[k], 0.01)

    def score(self, x):
        errors = [
            net.look([x[j] for j in group])[2]
            for net, group in zip(self.nets, self.groups, strict=True)
        ]
        return self.over.look([self._scaled(k, e) for k, e in enumerate(errors)])[2]

    def learn(self, x, rate, *, widens):
        x = [min(max(v, 0.0), 1.0) for v in x]
        errors = []
        for k, (net, group) in enumerate(zip(self.nets, self.groups, strict=True)):
            error = net.learn([x[j] for j in group], rate)
            if widens:
                self.low[k], self.high[k] = min(self.low[k], error), max(self.high[k], error)
            errors.append(min(max(self._scaled(k, error), 0.0), 1.0))
        return self.over.learn(errors, rate)


class Memory:
    """Codes and rows; the oldest goes, or the one unused for longest; distances are L1."""

    def __init__(
        self, weight, bias, codes, rows, *, k, discount, least, most, standardises, used=None
    ):
        self.w, self.b = weight.tolist(), bias.tolist()  # hidden x inputs
        self.codes, self.rows, self.at = codes.tolist(), rows.tolist(), 0
        self.k, self.discount, self.least, self.most = k, discount, least, most
        self.standardises, self.used = standardises, used

    def code(self, row):
        x = list(row)
        if self.standardises:
            for c in range(len(x)):
                column = [r[c] for r in self.rows]
                if min(column) == max(column):
                    x[c] = 0.0
                    continue
                mean = math.fsum(column) / len(column)
                variance = math.fsum((v - mean) ** 2 for v in column) / (len(column) - 1)
                x[c] = (x[c] - mean) / math.sqrt(variance)
        return [
            math.tanh(b + math.fsum(a * v for a, v in zip(line, x, strict=True)))
            for line, b in zip(self.w, self.b, strict=True)
        ]

    def step(self, row):
        """Score a row, then remember it if it is near enough and not too near."""
        code = self.code(row)
        everywhere = [
            math.fsum(abs(a - b) for a, b in zip(code, other, strict=True)) for other in self.codes
        ]
        distances = sorted(everywhere)[: self.k]
        weights = [self.discount**i for i in range(len(distances))]
        error = math.fsum(w * d for w, d in zip(weights, distances, strict=True)) / sum(weights)
        if self.used is not None and error <= self.most:
            self.used[everywhere.index(min(everywhere))] = max(self.used) + 1
            self.at = self.used.index(min(self.used))
        if self.least <= error <= self.most and (error > 0 or self.used is None):
            if self.used is not None:
                self.used[self.at] = max(self.used) + 1
            self.codes[self.at], self.rows[self.at] = code, list(row)
            if self.used is None:
                self.at = (self.at + 1) % len(self.codes)
        return error
