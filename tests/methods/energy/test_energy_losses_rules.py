"""What losses declare and promise: reach, signs of gradients, refusals, and that nothing is ever NaN."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from epishot.methods.energy.config import LossConfig
from epishot.methods.energy.losses.balance import AdaptiveBalance
from epishot.methods.energy.losses.base import Sizes
from epishot.methods.energy.losses.build import LOSSES, build_losses, refuse_degenerate
from epishot.methods.energy.names import Group, LossName
from epishot.methods.energy.parts import Encoded, Environment, Step
from epishot.methods.energy.routing import Boundary, Reach, Weighted
from epishot.tasks.errors import MethodError

SIZES = Sizes(latent=3, embedding=2, n_cells=4, chromatin=2)
ALL = [name.value for name in LossName]
OTHER_CELLS = [name.value for name in LossName if LOSSES[name].cells > 1]


def make_step(seed=0, blocks=3, m=8, positives=2, cells=(0, 1, 2), k=5, scale=2.0, dtype=torch.float64, **replaced):
    """A random step whose tensors are leaves that want gradients."""
    torch.manual_seed(seed)

    def normal(*shape):
        return (scale * torch.randn(*shape, dtype=dtype)).requires_grad_()

    def environment():
        return Environment(normal(blocks, 1), normal(blocks, SIZES.embedding))

    label = torch.zeros(blocks, m, dtype=torch.bool)
    label[:, :positives] = True
    cell = torch.tensor(cells)
    fields = {
        "logits": normal(blocks, m),
        "label": label,
        "potential": normal(blocks, m),
        "latent": normal(blocks, m, SIZES.latent),
        "cell": cell.unsqueeze(1).expand(blocks, m),
        "known": torch.ones(blocks, dtype=torch.bool),
        "prevalence": torch.full((blocks,), 0.1, dtype=dtype),
        "temperature": torch.tensor(1.2, dtype=dtype, requires_grad=True),
        "environment": environment(),
        "coupling": SimpleNamespace(names=("R",), neutral=lambda: torch.zeros(1)),
        "student": environment(),
        "teacher": environment(),
        "opportunist": environment(),
        "second": environment(),
        "student_logits": normal(blocks, m),
        "opportunist_logits": normal(blocks, m),
        "support_cell": cell,
        "branch": normal(blocks, k, SIZES.embedding),
        "branch_present": torch.ones(blocks, k, dtype=torch.bool),
        "mean": normal(blocks, m, SIZES.latent),
        "log_variance": normal(blocks, m, SIZES.latent),
        "chromatin": normal(blocks, m, SIZES.chromatin),
        "chromatin_target": normal(blocks, m, SIZES.chromatin).detach(),
        "penalty": torch.tensor(0.3, dtype=dtype, requires_grad=True),
        "swap": (normal(6, SIZES.latent), normal(6, SIZES.latent)),
        "prototypes": normal(2 * SIZES.n_cells, SIZES.embedding),
        "nodes": normal(2 * SIZES.n_cells, SIZES.embedding),
    }
    return Step(**{**fields, **replaced})


def loss(name, dtype=torch.float64, **options):
    torch.manual_seed(1)
    return LOSSES[LossName(name)](SIZES, **options).to(dtype)


def leaves(step):
    """Every tensor of a step that wants a gradient."""
    found = []
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        found += [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, torch.Tensor)]
    return [tensor for tensor in found if tensor.requires_grad]


def gradients(value, tensors):
    return torch.autograd.grad(value, tensors, allow_unused=True, retain_graph=True)


# --- declarations

E, T, TEACH, STUD = Group.ENCODER, Group.TEMPERATURE, Group.TEACHER, Group.STUDENT
OPP, PROT, COUP, DISC = Group.OPPORTUNIST, Group.PROTOTYPES, Group.COUPLING, Group.DISCRIMINATOR
PREDICTION = {E, T, TEACH, STUD, PROT, COUP}
#: (reached in full, reached a little, distinct cells), written down apart from the classes.
TABLE = {
    "task": (PREDICTION, set(), 1),
    "likelihood": (PREDICTION, set(), 1),
    "cross_entropy": (PREDICTION, set(), 1),
    "speculation": (PREDICTION, set(), 1),
    "rank": (PREDICTION, set(), 1),
    "calibration": ({E}, set(), 1),
    "distill": ({STUD}, {PROT}, 1),
    "pull": ({STUD}, set(), 1),
    "push": ({OPP}, set(), 1),
    "opportunist": ({OPP}, set(), 1),
    "sparse": ({TEACH, STUD, PROT}, set(), 1),
    "orthogonal": ({TEACH, STUD, PROT}, {E}, 1),
    "correlation": ({TEACH, STUD, PROT}, {E}, 2),
    "hsic": ({TEACH, STUD, PROT}, {E}, 2),
    "mine": ({TEACH, STUD, PROT, DISC}, {E}, 2),
    "domain": ({DISC}, {E}, 2),
    "bottleneck": ({E}, set(), 1),
    "swap": ({E}, set(), 1),
    "decorrelation": ({TEACH, STUD, COUP}, {E}, 2),
    "contrast_latent": ({E}, set(), 2),
    "contrast_environment": ({STUD, PROT}, set(), 2),
    "hierarchical": ({E}, set(), 2),
    "supervised_contrast": ({E}, set(), 1),
    "mmd_align": (set(), {E}, 2),
    "mmd_separate": ({STUD, PROT}, set(), 2),
    "entropy": ({T, TEACH, STUD}, set(), 1),
    "gamma_prior": ({T, TEACH, STUD}, set(), 1),
    "prior_match": ({T, TEACH, STUD, PROT}, set(), 1),
    "chromatin": ({E, Group.CHROMATIN}, set(), 1),
    "consistency": ({STUD}, set(), 1),
    "prototype": ({STUD, PROT}, set(), 1),
    "graph": ({PROT}, set(), 1),
    "encoder_penalty": ({E}, set(), 1),
}


@pytest.mark.parametrize("name", ALL)
def test_declarations_follow_the_routing_table(name):
    kind = LOSSES[LossName(name)]
    full, small, cells = TABLE[name]
    assert (kind.reach - kind.small, kind.small, kind.cells) == (full, small, cells)
    assert kind.reads <= {field.name for field in dataclasses.fields(Step)}
    assert kind.name == name
    owns = any(True for _ in loss(name).parameters())
    assert owns == (Group.DISCRIMINATOR in kind.reach)


@pytest.mark.parametrize("name", ALL)
def test_a_loss_reads_no_optional_field_that_it_does_not_declare(name):
    kept = LOSSES[LossName(name)].reads
    optional = {f.name for f in dataclasses.fields(Step) if f.default is not dataclasses.MISSING}
    step = make_step()
    bare = dataclasses.replace(step, **dict.fromkeys(optional - kept))
    torch.testing.assert_close(loss(name)(bare), loss(name)(step))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_loss_is_a_finite_scalar_with_finite_gradients_that_keeps_its_sign(name, dtype):
    measured = loss(name, dtype)
    for seed, scale in ((0, 0.3), (1, 2.0), (2, 30.0)):
        step = make_step(seed, scale=scale, dtype=dtype)
        value = measured(step)
        assert value.shape == ()
        assert value.dtype == dtype
        assert bool(value.isfinite())
        assert not measured.nonnegative or value.item() >= 0
        for gradient in gradients(value, [*leaves(step), *measured.parameters()]):
            assert gradient is None or bool(gradient.isfinite().all())


def test_the_losses_that_may_be_negative_are():
    assert {name for name in ALL if not LOSSES[LossName(name)].nonnegative} == {"entropy", "mmd_separate", "mine"}
    assert loss("entropy")(make_step()).item() < 0
    assert loss("mmd_separate")(make_step()).item() < 0


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_nan_where_there_is_nothing(name):
    """Constant or zero inputs, no known cell, empty supports, no swap pairs, unknown targets, one class."""
    step = make_step(k=0, positives=0)
    zero = {
        f.name: torch.zeros_like(getattr(step, f.name)).requires_grad_()
        for f in dataclasses.fields(step)
        if isinstance(getattr(step, f.name), torch.Tensor) and getattr(step, f.name).requires_grad
    }
    flat = Environment(*(torch.zeros(3, n, dtype=torch.float64, requires_grad=True) for n in (1, 2)))
    everywhere = dict.fromkeys(("environment", "student", "teacher", "second"), flat)
    empty = dataclasses.replace(
        step,
        **zero | everywhere,
        known=torch.zeros(3, dtype=torch.bool),
        swap=(step.swap[0][:0], step.swap[1][:0]),
        chromatin_target=torch.full((3, 8, 2), torch.nan),
    )
    if name in ("gamma_prior", "entropy"):
        empty = dataclasses.replace(empty, temperature=torch.tensor(1.0, requires_grad=True))
    measured = loss(name)
    value = measured(empty)
    assert bool(value.isfinite())
    if value.requires_grad:
        for gradient in gradients(value, [*leaves(empty), *measured.parameters()]):
            assert gradient is None or bool(gradient.isfinite().all())


# --- signs of gradients


def test_reversal_turns_the_gradient_into_z_and_leaves_the_discriminators_alone():
    step = make_step()
    domain = loss("domain", alpha=0.5)
    plain = torch.nn.functional.cross_entropy(domain.discriminator(step.latent.flatten(0, 1)), step.cell.reshape(-1))
    wanted = [step.latent, *domain.parameters()]
    into_z, *into_d = gradients(domain(step), wanted)
    plain_z, *plain_d = gradients(plain, wanted)
    assert plain_z.abs().max() > 0
    torch.testing.assert_close(into_z, -0.5 * plain_z)
    torch.testing.assert_close(into_d, plain_d)


def test_a_step_of_z_along_its_gradient_confuses_and_one_of_the_discriminator_recognises():
    domain, step = loss("domain"), make_step()
    before = domain(step)
    into_z, *into_d = gradients(before, [step.latent, *domain.parameters()])
    confused = dataclasses.replace(step, latent=step.latent - 0.01 * into_z)
    assert domain(confused) > before
    with torch.no_grad():
        for parameter, gradient in zip(domain.parameters(), into_d, strict=True):
            parameter -= 0.01 * gradient
    assert domain(step) < before


def test_mines_critic_raises_the_bound_and_both_sides_lower_it():
    mine, step = loss("mine"), make_step()
    before = mine(step)
    into_z, into_e, *into_critic = gradients(before, [step.latent, step.environment.embedding, *mine.parameters()])
    assert mine(dataclasses.replace(step, latent=step.latent - 0.01 * into_z)) > before
    moved = step.environment._replace(embedding=step.environment.embedding - 0.01 * into_e)
    assert mine(dataclasses.replace(step, environment=moved)) > before
    with torch.no_grad():
        for parameter, gradient in zip(mine.parameters(), into_critic, strict=True):
            parameter -= 0.01 * gradient
    assert mine(step) < before


def test_mine_finds_dependence_and_none_without_it():
    """Trained, the bound comes near log 3 for a z that names the cell, and stays near 0 for one that does not."""
    bounds = []
    for tells in (True, False):
        torch.manual_seed(0)
        latent = torch.randn(3, 60, 3, dtype=torch.float64)
        if tells:
            latent[..., 0] = torch.tensor([-4.0, 0.0, 4.0]).unsqueeze(1)
        step = make_step(m=60, latent=latent)
        mine = loss("mine")
        optimiser = torch.optim.Adam(mine.parameters(), lr=0.02)
        for _ in range(150):
            optimiser.zero_grad()
            mine(step).backward()
            optimiser.step()
        bounds.append(-mine(step).item())
    assert bounds[0] == pytest.approx(1.0986, abs=0.05)
    assert bounds[1] < 0.4


def test_entropy_pushes_the_temperature_up():
    logits, t = torch.randn(3, 8).double(), torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    step = make_step(logits=3 * logits / t, temperature=t)
    in_full = gradients(loss("entropy")(step), [t])[0]
    through_p = gradients(loss("entropy", stop_temperature=True)(step), [t])[0]
    assert in_full < through_p < 0
    entropy = -loss("entropy", stop_temperature=True)(step).item()
    assert (through_p - in_full).item() == pytest.approx(entropy)  # dL/dT = -H - T dH/dT


def test_the_gamma_prior_draws_the_temperature_to_its_mode():
    for start, sign in ((0.5, -1), (1.0, 0), (1.8, 1)):
        t = torch.tensor([[start]], dtype=torch.float64, requires_grad=True)
        assert gradients(loss("gamma_prior")(make_step(temperature=t)), [t])[0].sign().item() == sign


def test_pull_acts_only_where_the_student_is_worse():
    good, bad = (sign * (2.0 * make_step().label.double() - 1) for sign in (2.0, -2.0))
    for student, opponent, active in ((good, bad, False), (bad, good, True), (good, good, False)):
        said = student.clone().requires_grad_()
        pull = loss("pull")
        value = pull(make_step(student_logits=said, opportunist_logits=opponent))
        assert (value.item() > 0) == active
        rho = pull.pace.rho[:3]
        assert bool((rho > 1).all()) == active  # above 1: the student is behind
        if active:
            gradient = gradients(value, [said])[0]
            assert bool((gradient[:, :2] < 0).all())
            assert bool((gradient[:, 2:] > 0).all())


def test_pull_waits_for_the_pace_and_push_raises_the_opponents_loss():
    good, bad = (sign * (2.0 * make_step().label.double() - 1) for sign in (2.0, -2.0))
    pull = loss("pull", decay=0.99)
    pull(make_step(student_logits=good, opportunist_logits=bad))
    behind_once = make_step(student_logits=bad, opportunist_logits=good)
    assert pull(behind_once).item() == 0.0  # one bad step does not make a student that is behind
    assert loss("pull", decay=0.99)(behind_once).item() > 0
    said = good.clone().requires_grad_()
    value = loss("push")(make_step(student_logits=bad, opportunist_logits=said))
    gradient = gradients(value, [said])[0]
    assert bool((gradient[:, :2] > 0).all())  # descending makes the opponent less sure
    assert loss("push")(make_step(student_logits=good, opportunist_logits=bad)).item() == 0.0


def test_the_opportunist_counts_more_where_it_is_behind_and_the_fused_baseline_needs_a_known_cell():
    good, bad = (sign * (2.0 * make_step().label.double() - 1) for sign in (2.0, -2.0))
    step = make_step(student_logits=good, opportunist_logits=bad)
    assert loss("opportunist")(step).item() == pytest.approx(2 * loss("opportunist", boost=1.0)(step).item())
    known = torch.tensor([True, False, False])
    step = make_step(student_logits=bad, logits=good, known=known)
    whole = loss("pull", baseline="fused")(make_step(student_logits=bad, logits=good))
    assert loss("pull", baseline="fused")(step).item() == pytest.approx(whole.item() / 3)


def test_distillation_moves_the_student_alone():
    step = make_step()
    student, teacher = step.student.parameters, step.teacher.parameters
    into_student, into_teacher = gradients(loss("distill")(step), [student, teacher])
    assert into_teacher is None
    assert torch.equal(into_student.sign(), (student - teacher).sign())


def test_the_two_contrasts_pull_a_cell_together():
    for name, field in (("contrast_latent", "latent"), ("contrast_environment", "branch")):
        step = make_step()
        value = getattr(step, field)
        own = value.mean(1, keepdim=True)
        together = dataclasses.replace(step, **{field: 0.1 * (value - own) + own})
        assert loss(name)(together) < loss(name)(step)
    assert loss("contrast_environment")(make_step(latent=make_step(5).latent)) == loss("contrast_environment")(
        make_step()
    )


def test_alignment_lowers_and_separation_raises_the_distance_of_cells():
    shift = torch.tensor([0.0, 3.0, 6.0], dtype=torch.float64)[:, None, None]
    step, latent, branch = make_step(scale=1.0), make_step(scale=1.0).latent, make_step(scale=1.0).branch
    apart = dataclasses.replace(step, latent=latent + shift, branch=branch + shift)
    assert loss("mmd_align")(apart) > 2 * loss("mmd_align")(step)
    assert loss("mmd_separate")(apart) < loss("mmd_separate")(step)


# --- degenerate steps


@pytest.mark.parametrize("name", sorted(set(OTHER_CELLS) - {"domain", "mine"}))
def test_a_loss_that_compares_cells_is_zero_in_a_step_of_one(name):
    assert loss(name)(make_step()).abs().item() > 1e-4
    alone = make_step(cells=(1, 1, 1))
    value = loss(name)(alone)
    assert value.item() == pytest.approx(0.0, abs=1e-9)
    if value.requires_grad:
        assert all(g is None or float(g.abs().max()) < 1e-6 for g in gradients(value, leaves(alone)))


@pytest.mark.parametrize("name", ["domain", "mine"])
def test_a_trained_opponent_says_nothing_to_z_in_a_step_of_one_cell(name):
    """A blind discriminator solves one cell but not three; MINE's bound is at most 0."""
    measured = loss(name)
    alone, several = make_step(cells=(1, 1, 1)), make_step()
    with torch.no_grad():
        out = measured.discriminator[-1] if name == "domain" else measured.out
        if name == "mine":
            assert measured(alone).item() >= 0
        out.weight.zero_()
        out.bias.copy_(torch.tensor([0.0, 30.0, 0.0, 0.0] if name == "domain" else [0.0]))
    assert measured(alone).item() == pytest.approx(0.0, abs=1e-9)
    assert not gradients(measured(alone), [alone.latent])[0].any()
    if name == "domain":
        assert measured(several).item() > 1


@pytest.mark.parametrize("name", sorted(set(ALL) - set(OTHER_CELLS)))
def test_the_other_losses_mean_something_in_a_step_of_one_cell(name):
    worse = make_step(cells=(1, 1, 1))
    good = 2.0 * (2.0 * worse.label.double() - 1)
    worse = dataclasses.replace(worse, opportunist_logits=good.clone().requires_grad_(), student_logits=-good)
    worse.student_logits.requires_grad_()
    value = loss(name)(worse)
    assert value.abs().item() > 1e-4
    assert any(g is not None and bool(g.any()) for g in gradients(value, leaves(worse)))


def refuse(names, **facts):
    given = {
        "distinct_cells": 4,
        "sampler": "block_meta",
        "stochastic_encoder": False,
        "cell_free_encoder": False,
        "n_cells": 5,
    }
    refuse_degenerate({LossName(name): loss(name) for name in names}, **{**given, **facts})


@pytest.mark.parametrize("name", ALL)
def test_exactly_the_losses_that_compare_cells_are_refused_in_single_cell_steps(name):
    refuse([name])
    if name not in OTHER_CELLS:
        refuse([name], distinct_cells=1, sampler="cell_batch")
        return
    with pytest.raises(MethodError, match=rf"'{name}'.*'cell_batch'.*'block_meta' or 'episodic'.*2 or more"):
        refuse([name], distinct_cells=1, sampler="cell_batch")
    with pytest.raises(MethodError, match=rf"'{name}'.*training has 1"):
        refuse([name], distinct_cells=1, n_cells=1)


def test_swap_needs_an_encoder_that_can_tell_twins_apart():
    with pytest.raises(MethodError, match=r"'swap' is identically zero.*encoder\.bottleneck"):
        refuse(["swap"], cell_free_encoder=True)
    refuse(["swap"], cell_free_encoder=True, stochastic_encoder=True)
    blind = make_step()
    assert loss("swap")(dataclasses.replace(blind, swap=(blind.swap[0], blind.swap[0]))).item() == 0.0


@pytest.mark.parametrize("name", ALL)
def test_losses_on_the_origin_of_supports_are_zero_and_refused_with_mixed_supports(name):
    if name in ("contrast_environment", "mmd_separate", "prototype"):
        assert loss(name)(make_step(support_cell=torch.full((3,), -1))).item() == 0.0
        with pytest.raises(MethodError, match=rf"'{name}'.*mixed_support.*'block_meta' or 'episodic'"):
            refuse([name], mixed_support=True)
    else:
        refuse([name], mixed_support=True)


# --- construction


def test_every_loss_is_built_in_the_order_of_the_configuration():
    configs = {name: LossConfig(weight=1.0) for name in reversed(LossName)}
    assert list(build_losses(configs, SIZES)) == list(configs)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("rank", {"form": "squared"}, "'rank', option 'form'.*'logistic' or 'hinge'"),
        ("rank", {"gamma": -1.0}, "'rank', option 'gamma'.*greater than 0"),
        ("pull", {"decay": 1.0}, "'pull', option 'decay'"),
        ("task", {"alpha": 0.5}, "'task' has no option 'alpha'; it has none"),
        ("contrast_latent", {"temperature": 1.0}, "'contrast_latent' has no option 'temperature'; choose from tau"),
        ("hsic", {"rows": 2.5}, "'hsic', option 'rows'"),
    ],
)
def test_a_bad_option_is_refused_with_loss_and_option(name, options, words):
    with pytest.raises(MethodError, match=words):
        build_losses({LossName(name): LossConfig(weight=1.0, options=options)}, SIZES)


def test_options_survive_the_configuration():
    configs = {
        LossName.RANK: LossConfig(weight=1, options={"pairs": "across", "hardest": True}),
        LossName.HSIC: LossConfig(weight=1, options={"rows": 64}),
    }
    built = build_losses(configs, SIZES)
    assert built[LossName.RANK].options.hardest is True
    assert built[LossName.HSIC].options.rows == 64


def test_a_missing_part_is_named():
    step = make_step()
    for name in ("contrast_environment", "mmd_separate", "prototype"):
        with pytest.raises(MethodError, match=rf"'{name}'.*environment\.branch"):
            loss(name)(dataclasses.replace(step, branch=None))
        neutral = dataclasses.replace(step, branch=None, student=None)
        assert loss(name)(neutral).item() == 0.0
    with pytest.raises(MethodError, match="'graph' needs the teacher"):
        loss("graph")(dataclasses.replace(step, nodes=None))
    with pytest.raises(MethodError, match="'prototype' needs the student"):
        loss("prototype")(dataclasses.replace(step, prototypes=None))
    with pytest.raises(MethodError, match="'prototype' needs as many prototypes"):
        loss("prototype")(dataclasses.replace(step, prototypes=step.prototypes[:5]))
    wide = Environment(step.teacher.parameters, torch.zeros(3, 7))
    with pytest.raises(MethodError, match="use form 'squared'"):
        loss("distill", form="kl")(dataclasses.replace(step, teacher=wide))


def test_many_rows_are_thinned_evenly():
    step = make_step(m=300, positives=75)
    for name in ("hsic", "contrast_latent", "mmd_align"):
        value = loss(name, rows=90)(step)
        gradient = gradients(value, [step.latent])[0].abs().sum(-1) > 0
        assert gradient.sum(1).tolist() == [30, 30, 30]
        assert 20 <= int(gradient[:, :75].sum()) <= 25


# --- adaptive balance


def test_adaptive_balance_moves_factors_towards_the_tasks_gradient_within_bounds():
    potential = torch.randn(4, 8, requires_grad=True)
    latent = torch.randn(4, 8, 3, requires_grad=True)
    boundary = Boundary(Encoded(potential * 1.0, latent * 1.0, latent.detach()))
    leaf = boundary.leaves.potential
    reach = Reach(frozenset({Group.ENCODER}), frozenset())
    away = Reach(frozenset({Group.STUDENT}), frozenset())
    losses = {
        LossName.TASK: Weighted(leaf.sum(), reach),
        LossName.RANK: Weighted(0.5 * leaf.sum(), reach),
        LossName.CALIBRATION: Weighted(4.0 * leaf.sum(), reach),
        LossName.HSIC: Weighted(1e-9 * leaf.sum(), reach),
        LossName.DISTILL: Weighted(leaf.sum(), away),
    }
    balance = AdaptiveBalance()
    balance.update(losses, boundary)
    assert balance.factor(LossName.RANK) == pytest.approx(torch.exp(torch.tensor(0.01 * (2 - 1))).item(), rel=1e-5)
    assert balance.factor(LossName.CALIBRATION) == pytest.approx(torch.exp(torch.tensor(0.01 * (0.25 - 1))).item())
    for _ in range(400):
        balance.update(losses, boundary)
    assert balance.factor(LossName.HSIC) == 10.0
    assert balance.factor(LossName.CALIBRATION) == 0.1
    assert balance.factor(LossName.TASK) == balance.factor(LossName.DISTILL) == 1.0
    losses[LossName.RANK].value.backward()  # the graph is still there
