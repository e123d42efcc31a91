"""The value of every loss against an independently written numpy or scipy reference."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.special import expit, log_softmax, logsumexp, softmax
from scipy.stats import gamma as gamma_distribution
from scipy.stats import pearsonr
from sklearn.metrics import log_loss

from epishot.methods.energy.losses.base import Sizes
from epishot.methods.energy.losses.build import LOSSES
from epishot.methods.energy.losses.kernels import hsic, rbf
from epishot.methods.energy.names import LossName
from epishot.methods.energy.parts import Environment, Step

SIZES = Sizes(latent=3, embedding=2, n_cells=4, chromatin=2)


def tensor(value):
    return torch.tensor(np.asarray(value))


def make_step(seed=0, blocks=3, m=8, positives=2, cells=(0, 1, 2), **replaced):
    """A step of random float64 arrays; block b is of cell cells[b], positives in the first columns."""
    rng = np.random.default_rng(seed)
    cells = np.asarray(cells)
    label = np.zeros((blocks, m), dtype=bool)
    label[:, :positives] = True
    fields = {
        "logits": rng.normal(0, 2, (blocks, m)),
        "label": label,
        "potential": rng.normal(0.3, 1.5, (blocks, m)),
        "latent": rng.normal(size=(blocks, m, SIZES.latent)),
        "cell": np.repeat(cells[:, None], m, axis=1),
        "known": np.ones(blocks, dtype=bool),
        "prevalence": rng.uniform(0.05, 0.4, blocks),
        "temperature": np.array(1.3),
        "branch": rng.normal(size=(blocks, 5, SIZES.embedding)),
        "branch_present": np.ones((blocks, 5), dtype=bool),
        "support_cell": cells,
        "prototypes": rng.normal(size=(2 * SIZES.n_cells, SIZES.embedding)),
        "nodes": rng.normal(size=(2 * SIZES.n_cells, SIZES.embedding)),
        "student_logits": rng.normal(0, 2, (blocks, m)),
        "opportunist_logits": rng.normal(0, 2, (blocks, m)),
        "mean": rng.normal(size=(blocks, m, SIZES.latent)),
        "log_variance": rng.normal(-1, 0.5, (blocks, m, SIZES.latent)),
        "chromatin": rng.normal(size=(blocks, m, SIZES.chromatin)),
        "chromatin_target": rng.normal(size=(blocks, m, SIZES.chromatin)),
        "swap": (rng.normal(size=(6, SIZES.latent)), rng.normal(size=(6, SIZES.latent))),
        "penalty": np.array(0.7),
    }
    for name in ("environment", "student", "teacher", "opportunist", "second"):
        fields[name] = (rng.uniform(0, 2, (blocks, 1)), rng.normal(size=(blocks, SIZES.embedding)))
    fields.update(replaced)
    made = {name: _as_tensor(name, value) for name, value in fields.items() if value is not None}
    coupling = replaced.get("coupling", SimpleNamespace(names=("R",), neutral=lambda: torch.zeros(1)))
    return Step(**{**made, "coupling": coupling})


def _as_tensor(name, value):
    if isinstance(value, tuple):
        parts = tuple(v if isinstance(v, torch.Tensor) else tensor(v) for v in value)
        return parts if name == "swap" else Environment(*parts)
    return tensor(value) if isinstance(value, np.ndarray) else value


def loss(name, sizes=SIZES, **options):
    torch.manual_seed(0)
    return LOSSES[LossName(name)](sizes, **options).double()


def value(name, step, **options):
    return loss(name, **options)(step).item()


def flat(step, field):
    array = getattr(step, field).numpy()
    return array.reshape(-1, *array.shape[2:])


def softplus(x):
    return np.logaddexp(0.0, x)


# --- the prediction


def immax(logits, label, alpha):
    m = np.clip((2 * label - 1) * logits, -10, 10)
    mp, mn = m[label == 1], m[label == 0]
    result = 0.5 * (softplus(-mp / alpha).mean() + softplus(-mn / (1 - alpha)).mean())
    psi = lambda x: -1 / (1 + np.exp(x))  # noqa: E731 (derivative of softplus(-x))
    up, down = np.abs(mp * psi(mp / alpha)).sum(), np.abs(mn * psi(mn / (1 - alpha))).sum()
    target = np.sqrt(up) / (np.sqrt(up) + np.sqrt(down))
    return result, float(np.clip(0.9 * alpha + 0.1 * target, 0.01, 0.99))


def test_immax_and_its_alpha_follow_the_formula_over_several_steps():
    rng = np.random.default_rng(0)
    task, alpha = loss("task"), 0.5
    for _ in range(5):
        logits = rng.normal(0, 6, (3, 20))  # some margins are clipped
        label = rng.random((3, 20)) < 0.2
        expected, alpha = immax(logits.ravel(), label.ravel().astype(int), alpha)
        # torch takes softplus as linear beyond 20, which costs up to 2e-9
        assert task(make_step(m=20, logits=logits, label=label)).item() == pytest.approx(expected, abs=1e-8)
        assert task.alpha.item() == pytest.approx(alpha, abs=1e-8)
    assert abs(alpha - 0.5) > 0.02


def test_immax_leaves_alpha_alone_in_evaluation_on_one_class_and_at_zero_logits():
    task = loss("task")
    one_class = make_step(label=np.zeros((3, 8), dtype=bool))
    expected = log_loss(np.zeros(24), expit(flat(one_class, "logits")), labels=[0, 1])
    assert task(one_class).item() == pytest.approx(expected)
    task(make_step(logits=np.zeros((3, 8))))
    task.eval()(make_step())
    assert task.alpha.item() == 0.5


def test_likelihood_of_stratified_rows_is_the_natural_log_loss():
    rng = np.random.default_rng(2)
    label = np.repeat([[True, False]], 2, axis=0).repeat(50, axis=1)
    logits = rng.normal(size=(2, 100)) + 2 * label
    prevalence = np.array([0.1, 0.3])
    weight = np.where(label, prevalence[:, None], 1 - prevalence[:, None])
    expected = np.mean([log_loss(label[b], expit(logits[b]), sample_weight=weight[b]) for b in range(2)])
    step = make_step(blocks=2, m=100, cells=(0, 1), logits=logits, label=label, prevalence=prevalence)
    assert value("likelihood", step) == pytest.approx(expected, abs=1e-12)


def test_likelihood_of_blocks_of_single_rows_pools_them():
    rng = np.random.default_rng(3)
    label = rng.random((40, 1)) < 0.3
    logits, cells = rng.normal(size=(40, 1)), rng.integers(0, 4, 40)
    step = make_step(blocks=40, m=1, cells=cells, logits=logits, label=label, prevalence=np.full(40, 0.1))
    rows = softplus(np.where(label, -logits, logits))
    assert value("likelihood", step) == pytest.approx(0.1 * rows[label].mean() + 0.9 * rows[~label].mean())


def test_cross_entropy_and_speculation():
    step = make_step()
    p, y = expit(flat(step, "logits")), flat(step, "label")
    assert value("cross_entropy", step) == pytest.approx(log_loss(y, p))
    bold = np.maximum(6 * (p[~y] - 0.5), 0) ** 2
    assert value("speculation", step) == pytest.approx(0.5 * bold.mean() + 0.06 * (p.mean() - y.mean()) ** 2)


# --- ranking


def brute_force(score, label, group, form):
    means = []
    for code in np.unique(group):
        pairs = [
            form(score[i] - score[j])
            for i in range(score.size)
            for j in range(score.size)
            if group[i] == group[j] == code and label[i] and not label[j]
        ]
        if pairs:
            means.append(np.mean(pairs))
    return np.mean(means)


def logistic(difference):
    return np.log1p(np.exp(-difference))


def hinge(difference):
    return max(0.0, 0.5 - difference)


@pytest.mark.parametrize(("name", "form"), [("logistic", logistic), ("hinge", hinge)])
@pytest.mark.parametrize("order", ["stratified", "shuffled", "unequal"])
def test_ranking_equals_brute_force_within_blocks(name, form, order):
    step = make_step()
    label = step.label.numpy().copy()
    if order == "shuffled":
        label = np.random.default_rng(1).permuted(label, axis=1)
    if order == "unequal":
        label[1, 5] = True
        label[2] = False  # a block of one class counts for nothing
    step = make_step(label=label)
    expected = brute_force(flat(step, "logits"), label.ravel(), np.repeat(np.arange(3), 8), form)
    assert value("rank", step, form=name, gamma=0.5) == pytest.approx(expected, abs=1e-12)


def test_ranking_in_mixed_blocks_pairs_rows_of_one_cell():
    rng = np.random.default_rng(4)
    cell, label = rng.integers(0, 3, (2, 30)), rng.random((2, 30)) < 0.4
    step = make_step(blocks=2, m=30, cells=(0, 1), cell=cell, label=label)
    group = (np.arange(2)[:, None] * 10 + cell).ravel()
    expected = brute_force(flat(step, "logits"), label.ravel(), group, logistic)
    assert value("rank", step) == pytest.approx(expected, abs=1e-12)
    across = brute_force(flat(step, "logits"), label.ravel(), np.zeros(60), logistic)
    assert value("rank", step, pairs="across") == pytest.approx(across, abs=1e-12)
    single = make_step(blocks=60, m=1, cells=cell.ravel(), label=label.reshape(60, 1))
    expected = brute_force(flat(single, "logits"), label.ravel(), cell.ravel(), logistic)
    assert value("rank", single) == pytest.approx(expected, abs=1e-12)


def test_ranking_sees_a_cell_offset_only_across_cells():
    step = make_step()
    moved = make_step(logits=step.logits.numpy() + np.array([[3.0], [-7.0], [0.5]]))
    assert value("rank", moved) == pytest.approx(value("rank", step), abs=1e-12)
    assert abs(value("rank", moved, pairs="across") - value("rank", step, pairs="across")) > 0.1


def test_ranking_of_other_scores_and_of_the_hardest_negative():
    step = make_step()
    u, label, block = flat(step, "potential"), flat(step, "label"), np.repeat(np.arange(3), 8)
    assert value("rank", step, score="potential") == pytest.approx(brute_force(u, label, block, logistic))
    energy = brute_force(1.3 * flat(step, "logits"), label, block, logistic)
    assert value("rank", step, score="energy") == pytest.approx(energy)
    logits = step.logits.numpy()
    hardest = logistic(logits[:, :2] - logits[:, 2:].max(1, keepdims=True)).mean()
    assert value("rank", step, hardest=True) == pytest.approx(hardest)


# --- dependence


def by_cell(values, cell):
    return np.stack([values[cell[:, 0] == c].mean(0) for c in cell[:, 0]]).repeat(cell.shape[1], axis=0)


def test_orthogonality_is_the_cosine_of_z_and_its_cells_embedding():
    sizes = SIZES._replace(embedding=3)
    embedding = np.random.default_rng(5).normal(size=(3, 3))
    step = make_step(environment=(np.ones((3, 1)), embedding))
    z, e = flat(step, "latent"), embedding.repeat(8, axis=0)
    cosine = (z * e).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(e, axis=1)
    assert loss("orthogonal", sizes)(step).item() == pytest.approx(np.abs(cosine).mean())
    assert loss("orthogonal", sizes, form="squared")(step).item() == pytest.approx((cosine**2).mean())
    # sizes that differ are bridged by a map that keeps lengths
    carry = loss("orthogonal").carry.numpy()
    np.testing.assert_allclose(carry.T @ carry, np.eye(2), atol=1e-6)
    nothing = make_step(environment=(np.ones((3, 1)), np.zeros((3, 3))))
    assert loss("orthogonal", sizes)(nothing).item() == 0.0


def test_correlation_is_the_mean_squared_pearson_with_the_cells_mean_embedding():
    step = make_step(blocks=4, cells=(0, 1, 2, 0))
    e = by_cell(step.environment.embedding.numpy(), step.cell.numpy())
    z = flat(step, "latent")
    expected = np.mean([pearsonr(z[:, i], e[:, j])[0] ** 2 for i in range(3) for j in range(2)])
    assert value("correlation", step) == pytest.approx(expected, rel=1e-5)
    m = by_cell(step.environment.parameters.numpy(), step.cell.numpy())[:, 0]
    expected = pearsonr(flat(step, "potential"), m)[0] ** 2
    assert value("decorrelation", step) == pytest.approx(expected, rel=1e-5)


def numpy_hsic(z, cell):
    n = len(z)
    k = np.exp(-cdist(z, z, "sqeuclidean") / (2 * np.sort(pdist(z, "sqeuclidean"))[(n * (n - 1) // 2 - 1) // 2]))
    centre = np.eye(n) - 1 / n
    return np.trace(k @ centre @ (cell[:, None] == cell[None]) @ centre) / (n - 1) ** 2


def test_hsic_equals_the_trace_formula():
    step = make_step()
    z, cell, label = flat(step, "latent"), flat(step, "cell"), flat(step, "label")
    assert value("hsic", step) == pytest.approx(numpy_hsic(z, cell), rel=1e-9)
    per_class = sum(numpy_hsic(z[label == y], cell[label == y]) * (label == y).mean() for y in (False, True))
    assert value("hsic", step, conditional=True) == pytest.approx(per_class, rel=1e-9)


def test_zero_correlation_is_not_independence():
    """z against z^2: Pearson sees nothing, HSIC does."""
    z = np.linspace(-2, 2, 96)
    latent = np.zeros((96, 1, 3))
    latent[:, 0, 0] = z
    step = make_step(blocks=96, m=1, cells=np.arange(96), latent=latent, environment=(z[:, None], (z**2)[:, None]))
    assert loss("correlation", Sizes(3, 1, 96))(step).item() < 1e-12

    def dependence(other):
        return hsic(rbf(tensor(z[:, None])), rbf(tensor(other[:, None]))).item()

    shuffled = [dependence(np.random.default_rng(seed).permutation(z**2)) for seed in range(20)]
    assert dependence(z**2) > 2 * max(shuffled)


def test_mine_is_minus_the_donsker_varadhan_bound():
    step = make_step(blocks=4, cells=(0, 1, 2, 0))
    mine = loss("mine")
    cells = np.unique(step.cell[:, 0].numpy())
    e = np.stack([step.environment.embedding.numpy()[step.cell[:, 0] == c].mean(0) for c in cells])
    z, cell = flat(step, "latent"), flat(step, "cell")

    def critic(one, other):
        hidden = one @ mine.pair.weight.T.detach().numpy() + mine.pair.bias.detach().numpy()
        hidden = np.maximum(hidden + other @ mine.cell.weight.T.detach().numpy(), 0)
        return hidden @ mine.out.weight[0].detach().numpy() + mine.out.bias.item()

    joint = np.mean([critic(z[i], e[cell[i]]) for i in range(32)])
    product = np.mean([np.exp(critic(z[i], e[cell[j]])) for i in range(32) for j in range(32)])
    assert mine(step).item() == pytest.approx(-(joint - np.log(product)))


def test_domain_is_the_cross_entropy_of_the_discriminator():
    step = make_step()
    for conditional in (False, True):
        domain = loss("domain", conditional=conditional)
        first, _, last = domain.discriminator
        seen = flat(step, "latent")
        if conditional:
            seen = np.column_stack([seen, flat(step, "label")])
        hidden = np.maximum(seen @ first.weight.T.detach().numpy() + first.bias.detach().numpy(), 0)
        scores = log_softmax(hidden @ last.weight.T.detach().numpy() + last.bias.detach().numpy(), axis=1)
        assert domain(step).item() == pytest.approx(-scores[np.arange(24), flat(step, "cell")].mean())


def test_bottleneck_is_the_divergence_from_the_standard_normal():
    step = make_step()
    mu, log_variance = flat(step, "mean"), flat(step, "log_variance")
    closed = 0.5 * (mu**2 + np.exp(log_variance) - log_variance - 1).sum(1).mean()
    normal = torch.distributions.Normal
    torch_kl = torch.distributions.kl_divergence(
        normal(step.mean, (0.5 * step.log_variance).exp()), normal(torch.zeros(()).double(), 1.0)
    )
    assert value("bottleneck", step) == pytest.approx(closed)
    assert value("bottleneck", step) == pytest.approx(torch_kl.sum(-1).mean().item())


def test_swap_is_the_squared_distance_of_twins():
    step = make_step()
    first, second = (part.numpy() for part in step.swap)
    assert value("swap", step) == pytest.approx(np.mean(np.linalg.norm(first - second, axis=1) ** 2))


# --- contrast and discrepancy


def cosine(x, tau):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit @ unit.T / tau


def numpy_nce(s, positive, negative):
    terms = []
    for i in range(len(s)):
        top = [s[i, j] for j in range(len(s)) if j != i and positive[i, j]]
        rest = [s[i, j] for j in range(len(s)) if j != i and negative[i, j]]
        if top:
            terms.append(logsumexp(top + rest) - logsumexp(top))
    return np.mean(terms)


def test_info_nce_by_cell_on_either_reading():
    step = make_step(blocks=4, cells=(0, 1, 2, 0))
    same = flat(step, "cell")[:, None] == flat(step, "cell")[None]
    expected = numpy_nce(cosine(flat(step, "latent"), 0.1), same, ~same)
    assert value("contrast_latent", step) == pytest.approx(expected)
    present = np.random.default_rng(6).random((4, 5)) < 0.7
    support_cell = np.array([0, 1, -1, 0])  # a mixed support belongs to no cell
    step = make_step(blocks=4, cells=(0, 1, 2, 0), branch_present=present, support_cell=support_cell)
    chosen = present & (support_cell >= 0)[:, None]
    cell = np.repeat(support_cell[:, None], 5, axis=1)[chosen]
    same = cell[:, None] == cell[None]
    expected = numpy_nce(cosine(step.branch.numpy()[chosen], 0.5), same, ~same)
    assert value("contrast_environment", step, tau=0.5) == pytest.approx(expected)


def test_hierarchical_and_supervised_contrast():
    step = make_step(blocks=4, cells=(0, 1, 2, 0))
    cell = flat(step, "cell")[:, None] == flat(step, "cell")[None]
    label = flat(step, "label")[:, None] == flat(step, "label")[None]
    s = cosine(flat(step, "latent"), 0.1)
    expected = numpy_nce(s, cell & label, ~cell) + 0.5 * numpy_nce(s, cell & ~label, ~cell)
    assert value("hierarchical", step) == pytest.approx(expected)
    s, n, terms = cosine(flat(step, "latent"), 0.07), 32, []
    for i in range(n):
        whole = logsumexp([s[i, a] for a in range(n) if a != i])
        terms.append(-np.mean([s[i, p] - whole for p in range(n) if p != i and label[i, p]]))
    assert value("supervised_contrast", step) == pytest.approx(np.mean(terms))


def numpy_mmd(x, y, everything):
    pairs = np.sort(pdist(everything, "sqeuclidean"))
    median = pairs[(len(pairs) - 1) // 2]
    k = lambda a, b: np.mean(  # noqa: E731
        [np.exp(-cdist(a, b, "sqeuclidean") / (2 * scale * median)).mean() for scale in (0.25, 0.5, 1, 2, 4)]
    )
    return k(x, x) + k(y, y) - 2 * k(x, y)


def test_mmd_aligns_z_given_the_label_and_separates_e():
    step = make_step()
    z, cell, label = flat(step, "latent"), flat(step, "cell"), flat(step, "label")
    pairs = [(a, b) for a in range(3) for b in range(a)]
    expected = np.mean(
        [
            numpy_mmd(z[(cell == a) & (label == y)], z[(cell == b) & (label == y)], z)
            for y in (False, True)
            for a, b in pairs
        ]
    )
    assert value("mmd_align", step) == pytest.approx(expected)
    e = step.branch.numpy()
    expected = -np.mean([numpy_mmd(e[a], e[b], e.reshape(-1, 2)) for a, b in pairs])
    assert value("mmd_separate", step) == pytest.approx(expected)


# --- temperature


def test_entropy_prior_and_prior_match():
    step = make_step()
    p = expit(flat(step, "logits"))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert value("entropy", step) == pytest.approx(-1.3 * entropy.mean())
    t = np.array([[0.6], [1.0], [1.9]])
    difference = value("gamma_prior", make_step(temperature=t)) - value("gamma_prior", make_step(temperature=t * 0 + 1))
    log_density = gamma_distribution(a=2, scale=1).logpdf(t)
    assert difference == pytest.approx(gamma_distribution(a=2).logpdf(1.0) - log_density.mean())
    p, pi = expit(step.logits.numpy()), step.prevalence.numpy()
    mean = pi * p[:, :2].mean(1) + (1 - pi) * p[:, 2:].mean(1)
    assert value("prior_match", step) == pytest.approx(np.mean((mean - pi) ** 2))


def test_binary_entropy_holds_at_saturated_logits():
    assert value("entropy", make_step(logits=np.full((3, 8), 900.0))) == 0.0


# --- readings of a cell


def test_sparsity_distillation_and_consistency():
    step = make_step(known=np.array([True, False, True]))
    r, s, t = (getattr(step, name).parameters.numpy() for name in ("environment", "student", "teacher"))
    assert value("sparse", step) == pytest.approx(np.abs(r).mean())
    assert value("distill", step) == pytest.approx(((s - t)[[0, 2]] ** 2).mean())
    q, target = (softmax(getattr(step, name).embedding.numpy()[[0, 2]], axis=1) for name in ("student", "teacher"))
    assert value("distill", step, form="kl") == pytest.approx((target * np.log(target / q)).sum(1).mean())
    second = step.second.parameters.numpy()
    assert value("consistency", step) == pytest.approx(np.var(np.stack([s, second]), axis=0, ddof=1).mean())
    assert value("distill", make_step(known=np.zeros(3, dtype=bool))) == 0.0
    affine = SimpleNamespace(names=("M", "B"), neutral=lambda: torch.tensor([1.0, 0.0]))
    natural = np.array([[1.5, -1.0], [1.0, 0.5], [0.5, 0.0]])
    step = make_step(coupling=affine, environment=(natural, np.zeros((3, 2))))
    assert value("sparse", step) == pytest.approx(np.mean([0.5, 1.0, 0.0, 0.5, 0.5, 0.0]))


def block_loss(logits, label, prevalence):
    rows = softplus(np.where(label, -logits, logits))
    return np.array(
        [p * row[own].mean() + (1 - p) * row[~own].mean() for p, row, own in zip(prevalence, rows, label, strict=True)]
    )


def test_competition_by_hand_over_several_steps():
    pull, own, state = loss("pull"), loss("opportunist"), {}
    for seed in range(4):
        step = make_step(seed)
        student, opponent = (
            block_loss(getattr(step, f"{who}_logits").numpy(), step.label.numpy(), step.prevalence.numpy())
            for who in ("student", "opportunist")
        )
        for c in range(3):
            old = state.get(c)
            new = np.array([student[c], opponent[c]])
            state[c] = new if old is None else 0.9 * old + 0.1 * new
        rho = np.array([state[c][0] / state[c][1] for c in range(3)])
        expected = np.mean(np.maximum(student - opponent, 0) * (rho > 1.05))
        assert pull(step).item() == pytest.approx(expected)
        assert own(step).item() == pytest.approx(np.mean(opponent * np.where(rho < 0.95, 2.0, 1.0)))
        assert value("push", step) == pytest.approx(np.mean(np.maximum(student - opponent, 0)))
        np.testing.assert_allclose(pull.pace.rho[:3].numpy(), rho, rtol=1e-6)
    assert np.isnan(pull.pace.rho[3].item())
    assert "pace.student" in dict(pull.named_buffers())


# --- place, chromatin, prototypes, penalty


def test_calibration_holds_place_and_scale():
    for potential, expected in (([-4.0, 6.0], 1 + (5 - 3) ** 2), ([0.9, 1.1], 1 + 0.4**2), ([-1.0, 1.0], 0.0)):
        step = make_step(blocks=1, m=2, positives=1, cells=(0,), potential=np.array([potential]))
        assert value("calibration", step) == pytest.approx(expected, abs=1e-9)
    step = make_step(potential=np.full((3, 8), 2.0))
    assert value("calibration", step, centre=2.0, low=0.7) == pytest.approx(0.49, abs=1e-5)


def test_chromatin_ignores_unknown_targets():
    target = np.random.default_rng(7).normal(size=(3, 8, 2))
    target[0, :, 1] = np.nan
    step = make_step(chromatin_target=target)
    assert value("chromatin", step) == pytest.approx(np.nanmean((step.chromatin.numpy() - target) ** 2))
    assert value("chromatin", make_step(chromatin_target=np.full((3, 8, 2), np.nan))) == 0.0


def test_prototype_graph_and_penalty():
    step = make_step()
    p, e = step.prototypes.numpy().reshape(4, 2, 2), step.branch.numpy()
    nearest = [min(np.sum((row - p[c, j]) ** 2) for j in range(2)) for c in range(3) for row in e[c]]
    assert value("prototype", step) == pytest.approx(np.mean(nearest))
    p = step.nodes.numpy()
    squared = cdist(p, p, "sqeuclidean")
    similarity = np.exp(-squared / 0.5) * (1 - np.eye(8))
    smooth = (similarity * squared).sum() / similarity.sum()
    separate = np.mean(np.maximum(1.0 - pdist(p), 0) ** 2)
    expected = 0.2 * smooth + 0.5 * np.sum(p.mean(0) ** 2) + 0.5 * separate
    assert value("graph", step) == pytest.approx(expected)
    assert value("encoder_penalty", step) == pytest.approx(0.7)
