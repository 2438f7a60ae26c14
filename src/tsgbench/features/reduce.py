"""From raw clip features to what the models read: choosing, centring, standardising, PCA.

Each step is named and can be left out. Whatever is learned (means, deviations, components) is
learned on training videos alone, and kept in the file so that it can be applied to other videos.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.statistics import STATISTICS
from tsgbench.features.store import FeatureStore, FeatureWriter

DEFAULTS = {
    "keep": None,
    "center": "none",
    "rectify": False,
    "standardize": False,
    "pca": None,
    "dtype": "float32",
}
CENTERS = ("none", "video", "video_median")
ROWS = 4096  # clips that one step of the incremental PCA looks at
TINY = 1e-6  # smaller deviations, relative to the largest, are noise of rounding


@dataclass
class Reduction:
    """Learned steps: `(x - mean) / scale @ components / spread`, x being what `Basis` leaves.

    mean, scale: (D,). components: (D, K) or None; spread: (K,), what the PCA's outputs are divided
    by; variance: (K,), the share of the training clips' variance that each component holds.
    """

    basis: "Basis"
    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray | None = None
    spread: np.ndarray | None = None
    variance: np.ndarray | None = None

    def apply(self, clips: np.ndarray) -> np.ndarray:
        """All clips of one video, raw, to (n, K) float32; (n, D) without PCA."""
        x = (self.basis.apply(clips) - self.mean) / self.scale
        if self.components is not None:
            x = x @ self.components / self.spread
        return x.astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a feature file keeps of it."""
        kept: dict[str, Any] = {**self.basis.arrays(), "mean": self.mean, "scale": self.scale}
        if self.components is not None:
            kept |= {
                "components": self.components,
                "spread": self.spread,
                "variance": self.variance,
            }
        return kept

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Reduction":
        """Back from `FeatureStore.arrays()`: how to treat a new video as that file's were."""
        arrays = dict(arrays)
        names = ("columns", "center", "rectify")
        return cls(Basis.from_arrays({name: arrays.pop(name) for name in names}), **arrays)


@dataclass(frozen=True)
class Basis:
    """The steps that learn nothing: which numbers of a clip count, and against what.

    columns: the numbers kept. center: one of `CENTERS`, subtracted within each video. rectify:
    whether each number x becomes two, max(x, 0) and max(-x, 0): with the median as the centre, both
    are near zero wherever nothing happens.
    """

    columns: np.ndarray
    center: str
    rectify: bool

    @property
    def dim(self) -> int:
        """Numbers per clip after these steps."""
        return len(self.columns) * (2 if self.rectify else 1)

    def apply(self, clips: np.ndarray) -> np.ndarray:
        """All clips of one video, raw, to (n, dim) double."""
        x = clips[:, self.columns].astype(np.float64)
        if self.center == "video":
            x = x - x.mean(axis=0)
        elif self.center == "video_median":
            x = x - np.median(x, axis=0)
        return np.concatenate([x, -x], axis=1).clip(min=0) if self.rectify else x

    def arrays(self) -> dict[str, np.ndarray]:
        """What a feature file keeps of it; `from_arrays` reads it back."""
        return {
            "columns": self.columns,
            "center": np.array(CENTERS.index(self.center)),
            "rectify": np.array(self.rectify),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Basis":
        """The basis of which a feature file keeps these arrays."""
        return cls(arrays["columns"], CENTERS[int(arrays["center"])], bool(arrays["rectify"]))


def reduce(raw: Path, out: Path, *, train_ids: list[str], recipe: dict, identity: str) -> dict:
    """Apply the steps of `recipe["reduce"]` to every video of `raw`; write `out`, with its times.

    The steps, in order: `keep` (names of `STATISTICS`, for clips that are such; null: all numbers),
    `center` (video, video_median: subtract each video's own mean or median; none), `rectify` (true:
    positive and negative parts apart), `standardize` (true: zero mean and unit deviation over
    training clips), `pca` ({dim, whiten_power}: keep `dim` components and divide each by its
    deviation to that power; null), `dtype` on disk. The attributes of `raw` are kept, apart from
    the identity. Returns facts: videos, dim, clips and videos of training, explained_variance (a
    share; null without PCA).
    """
    steps = _check_steps(recipe.get("reduce") or {})
    with FeatureStore(raw) as store:
        reduction, facts = fit(store, train_ids, steps)
        attrs = carried_attrs(store)
        attrs |= {"identity": identity, "recipe": store.attrs["recipe"] | recipe}
        with FeatureWriter(out, attrs, dtype=steps["dtype"], arrays=reduction.arrays()) as writer:
            write_reduced(store, writer, reduction)
    return {"videos": len(writer.done), "dim_raw": store.dim, "dim": writer.dim, **facts}


def carried_attrs(store: FeatureStore) -> dict:
    """The attributes that features keep when they are reduced; the writer states the others."""
    return {name: value for name, value in store.attrs.items() if name not in ("schema", "dim")}


def write_reduced(store: FeatureStore, writer: FeatureWriter, reduction: Reduction) -> None:
    """Write every video of the store that is not written yet, reduced, with its times."""
    for video_id in store.video_ids:
        if video_id not in writer.done:
            clips, times = store.read(video_id)
            writer.write(video_id, reduction.apply(clips), times)


def fit(store: FeatureStore, train_ids: list[str], steps: dict) -> tuple[Reduction, dict]:
    """Learn the steps on the training videos: one pass for the moments, one for the PCA."""
    if not train_ids:
        raise UserError(f"{store.path}: no training video to learn the reduction from")
    basis = Basis(_columns(store, steps["keep"]), steps["center"] or "none", steps["rectify"])
    reduction = Reduction(basis, np.zeros(basis.dim), np.ones(basis.dim))
    rows, mean, deviation = _moments(store, train_ids, basis)
    if steps["standardize"]:
        reduction.mean = mean
        # a constant number stays what it is: zero after centring
        reduction.scale = np.where(deviation > TINY * deviation.max(), deviation, 1.0)
    facts: dict[str, Any] = {
        "train_videos": len(train_ids),
        "train_clips": rows,
        "explained_variance": None,
    }
    if steps["pca"]:
        facts["explained_variance"] = _fit_pca(store, train_ids, reduction, steps["pca"], rows)
    return reduction, facts


def _columns(store: FeatureStore, keep: list[str] | None) -> np.ndarray:
    """The numbers of a clip that belong to the named statistics; all without names."""
    columns = np.arange(store.dim)
    if keep is None:
        return columns
    pool = store.attrs["recipe"].get("pool")
    if pool != "channel_stats":
        raise UserError(
            f"{store.path}: keep: its clips are pooled by {pool!r}, and only channel_stats has"
            " statistics to choose from; leave it out"
        )
    by_statistic = columns.reshape(len(STATISTICS), -1)
    return np.sort(by_statistic[[STATISTICS.index(name) for name in keep]].ravel())


def _moments(
    store: FeatureStore, video_ids: list[str], basis: Basis
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of clips, mean and standard deviation of each number, merged video by video."""
    rows, mean, squares = 0, np.zeros(basis.dim), np.zeros(basis.dim)
    for video_id in video_ids:
        x = basis.apply(store.read(video_id)[0])
        gap = x.mean(axis=0) - mean
        total = rows + len(x)
        squares += x.var(axis=0) * len(x) + gap**2 * (rows * len(x) / total)
        mean += gap * (len(x) / total)
        rows = total
    return rows, mean, np.sqrt(squares / rows)


def _fit_pca(
    store: FeatureStore, train_ids: list[str], reduction: Reduction, settings: dict, rows: int
) -> float:
    """Add a PCA to `reduction`; returns the share of the variance that it keeps."""
    from sklearn.decomposition import IncrementalPCA  # slow to import

    dim, power = settings["dim"], settings.get("whiten_power", 0.0)
    if dim > min(reduction.basis.dim, rows):
        raise UserError(
            f"{store.path}: pca: dim: {dim} is more than its {reduction.basis.dim} numbers per clip"
            f" or its {rows} training clips; lower it"
        )
    pca = IncrementalPCA(n_components=dim)
    for block in _blocks(store, train_ids, reduction, max(ROWS, dim)):
        pca.partial_fit(block)
    # IncrementalPCA subtracts its own mean: fold it into ours
    reduction.mean = reduction.mean + reduction.scale * pca.mean_
    reduction.components = pca.components_.T.copy()
    deviation = np.sqrt(pca.explained_variance_)
    reduction.spread = np.maximum(deviation, TINY * deviation.max()) ** power
    reduction.variance = pca.explained_variance_ratio_.copy()
    return float(reduction.variance.sum())


def _blocks(
    store: FeatureStore, video_ids: list[str], reduction: Reduction, rows: int
) -> Iterator[np.ndarray]:
    """Standardised training clips in blocks of `rows` or more: a PCA step needs `dim` at least."""
    waiting: list[np.ndarray] = []
    left = 0
    block = None
    for video_id in video_ids:
        waiting.append(reduction.apply(store.read(video_id)[0]))
        left += len(waiting[-1])
        if left >= rows:
            if block is not None:
                yield block
            block, waiting, left = np.concatenate(waiting), [], 0
    # what is left over may be too short for a step of its own
    rest = [part for part in (block, *waiting) if part is not None]
    yield np.concatenate(rest)


def _check_steps(steps: dict) -> dict:
    """The steps with defaults filled in; `UserError` names what is wrong."""
    full = DEFAULTS | steps
    pca = full["pca"]
    rules = {
        "keep": (_is_choice(full["keep"]), f"some of {list(STATISTICS)} or null"),
        "center": (full["center"] in (*CENTERS, None), f"one of {list(CENTERS)}"),
        "rectify": (isinstance(full["rectify"], bool), "true or false"),
        "standardize": (isinstance(full["standardize"], bool), "true or false"),
        "pca": (_is_pca(pca), "{dim: 1 or more, whiten_power: 0 to 1} or null"),
        "dtype": (full["dtype"] in ("float32", "float16"), "float32 or float16"),
    }
    for key, value in full.items():
        if key not in rules:
            raise UserError(f"feature recipe: reduce: unknown step {key!r}; one of {list(rules)}")
        is_right, expected = rules[key]
        if not is_right:
            raise UserError(f"feature recipe: reduce: {key}: {value!r} is wrong; give {expected}")
    return full | {"pca": None if pca == "none" else pca}


def _is_choice(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value)
    return value is None or (is_list and set(value) <= set(STATISTICS))


def _is_pca(value: object) -> bool:
    if value in (None, "none"):
        return True
    return (
        isinstance(value, dict)
        and {"dim"} <= set(value) <= {"dim", "whiten_power"}
        and isinstance(value["dim"], int)
        and value["dim"] >= 1
        and 0 <= value.get("whiten_power", 0) <= 1
    )
