"""Motifs, streams, latents and measurements of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.tasks.synthetic import latents, measure, motifs
from epishot.tasks.synthetic.cells import make_cells, occupancy
from epishot.tasks.synthetic.genome import build_genome
from epishot.tasks.synthetic.streams import spread_normal, spread_uniform, stream


def _scan_by_hand(text: str) -> list[float]:
    reverse = str.maketrans("ACGT", "TGCA")
    content = []
    for factor in motifs.FACTORS:
        total = 0.0
        for start in range(len(text) - len(factor.motif) + 1):
            window = text[start : start + len(factor.motif)]
            mirrored = window.translate(reverse)[::-1]
            fewest = min(sum(a != b for a, b in zip(w, factor.motif, strict=True)) for w in (window, mirrored))
            total += {0: 1.0, 1: 0.5}.get(fewest, 0.0)
        content.append(total)
    return content


def test_scan_equals_a_plain_search_and_reads_both_strands() -> None:
    letters = motifs.plant(stream(1, "test"), 12, 200, np.full(len(motifs.FACTORS), 0.4), gc=0.5)
    by_hand = np.array([_scan_by_hand(text) for text in motifs.decode(letters)])
    content = motifs.scan(letters)
    np.testing.assert_allclose(content, by_hand)
    assert content.sum() > 20
    np.testing.assert_allclose(motifs.scan((3 - letters)[:, ::-1]), content)


def test_planted_sites_are_found_and_background_is_nearly_empty() -> None:
    planted = motifs.scan(motifs.plant(stream(2, "test"), 400, 300, motifs.rates("enhancer"), gc=0.44))
    empty = motifs.scan(motifs.plant(stream(2, "test"), 400, 300, np.zeros(len(motifs.FACTORS)), gc=0.44))
    # 30 % of the sites have one mismatch and count half.
    np.testing.assert_allclose(planted.mean(axis=0), 0.85 * motifs.rates("enhancer"), atol=0.15)
    assert empty.mean() < 0.02


def test_motifs_fit_their_slots_and_have_four_letters_only() -> None:
    for factor in motifs.FACTORS:
        assert len(factor.motif) <= motifs.SLOT_BP
        assert set(factor.motif) <= set("ACGT")
    assert len({factor.motif for factor in motifs.FACTORS}) == len(motifs.FACTORS)


def test_occupancy_saturates_and_is_linear_at_low_concentration() -> None:
    cell = make_cells(0, ("S1",))[0]
    content = np.zeros((3, len(motifs.FACTORS)))
    content[1] = 1e-6
    content[2] = 1e6
    got = occupancy(cell, content)
    np.testing.assert_array_equal(got[0], 0.0)
    np.testing.assert_allclose(got[1], 1e-6 * cell.concentration * np.exp(0.4 * cell.openness), rtol=1e-4)
    np.testing.assert_allclose(got[2], 1.0, rtol=1e-3)


def test_streams_depend_on_their_name_alone() -> None:
    first = stream(0, "a", "b").random(3)
    stream(0, "other").random(100)
    np.testing.assert_array_equal(first, stream(0, "a", "b").random(3))
    for other in (stream(0, "ab"), stream(1, "a", "b"), stream(0, "b", "a")):
        assert not np.array_equal(first, other.random(3))


def test_spread_numbers_cover_their_range_with_few_cells() -> None:
    for seed in range(5):
        for parameter in ("offset", "slope", "openness", "angle"):
            six = np.sort(spread_uniform(seed, parameter, 6))
            gaps = np.diff(np.append(six, six[0] + 1))
            assert gaps.max() < 0.45
            np.testing.assert_array_equal(spread_normal(seed, parameter, 6), spread_normal(seed, parameter, 24)[:6])
    assert spread_normal(0, "slope", 200).std() == pytest.approx(1.0, abs=0.06)


def test_programmes_are_standardised_and_explain_their_share() -> None:
    genome = build_genome(0, 300)
    cell = make_cells(0, ("S1",))[0]
    mean = latents.programme_mean(cell, genome.enhancer_content)
    np.testing.assert_allclose(mean.mean(axis=0), 0.0, atol=1e-12)
    drawn = latents.draw(0, cell, "enhancer", mean, latents.LATENT_VARIANCE[latents.ENHANCER])
    np.testing.assert_allclose(mean.var(axis=0) + latents.LATENT_VARIANCE[latents.ENHANCER], 1.0)
    np.testing.assert_allclose(drawn.value.var(axis=0), 1.0, atol=0.2)


def test_contact_falls_log_linearly_with_distance() -> None:
    contact = latents.contact_mean(np.array([1e4, 1e5, 1e6]))[:, 0]
    assert (np.diff(contact) < 0).all()
    assert contact[0] - contact[1] == pytest.approx(contact[1] - contact[2])


@pytest.mark.parametrize("side", ["enhancer", "promoter", "window"])
def test_posterior_equals_joint_gaussian_conditioning(side: str) -> None:
    """Against the covariance form: mean + C L' (L C L' + s^2 I)^-1 (g - L mean)."""
    rng = np.random.default_rng(0)
    weight = measure.loadings(side)
    width = weight.shape[1]
    prior, variance = rng.normal(size=(5, width)), rng.uniform(0.3, 1.5, width)
    readout = rng.normal(size=(5, len(weight)))
    gain = np.diag(variance) @ weight.T
    gain = gain @ np.linalg.inv(weight @ gain + measure.NOISE_SD**2 * np.eye(len(weight)))
    got = measure.infer(side, prior, variance, readout)
    np.testing.assert_allclose(got.mean, prior + (readout - prior @ weight.T) @ gain.T)
    np.testing.assert_allclose(got.covariance, (np.eye(width) - gain @ weight) @ np.diag(variance), atol=1e-12)


def test_genome_places_loci_apart_on_all_chromosomes() -> None:
    genome = build_genome(4, 640)
    assert set(genome.gene_chrom) == {f"chr{name}" for name in (*range(1, 23), "X")}
    for chrom in np.unique(genome.gene_chrom):
        enhancers = genome.enhancer_start[genome.enhancer_chrom == chrom]
        assert (np.diff(enhancers) >= 1_000).all()
        assert (np.diff(genome.tss[genome.gene_chrom == chrom]) >= 10_000).all()
    assert (genome.enhancer_start >= 0).all()
    same = genome.enhancer_chrom[genome.pair_enhancer] == genome.gene_chrom[genome.pair_gene]
    assert same.all()
