"""Every artefact that config/paper.yaml takes from elsewhere, tiny, in its public format.

Annotations, videos, weights and word vectors under the names and in the layouts that their
publishers gave them, and config/sources.yaml with its addresses led to a local server. All of it is
invented; sizes are chosen so that the whole study runs in minutes.
"""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import torch

from tsgbench.features.c3d import C3D
from tsgbench.features.i3d import I3D
from tsgbench.features.vgg16 import VGG16

WIDTH = 0.03125  # of every extractor's channels
CROP = 32  # pixels
FPS = 8
VIDEO_S = 6.0
CHUNKS, CHUNK_S = 6, 5.0

CHARADES = {
    "train": ["AAA0A", "BBB1B", "CCC2C", "DDD3D", "EEE4E", "FFF5F", "GGG6G", "HHH7H"],
    "test": ["QQQ8Q", "RRR9R", "SSS0S"],
}
CHARADES_UNUSED = "ZZZ9Z"  # in the archive, in no annotation: as a third of the real ones
ACTIVITYNET = {
    "train": [f"v_{letter * 10}-" for letter in "ABCDEFGH"],
    "val_1": [f"v_{letter * 10}_" for letter in "QRST"],
    "val_2": [f"v_{letter * 10}_" for letter in "QRS"],  # val_2 lacks some of val_1's videos
}
# Taken off the site, one that trains and one that is tested
REMOVED = {ACTIVITYNET["train"][0], ACTIVITYNET["val_2"][0]}
TACOS = {
    "train": ["s13-d21", "s13-d25", "s13-d28", "s13-d31"],
    "val": ["s26-d26", "s26-d69"],
    "test": ["s30-d52", "s31-d25"],
}
TACOS_FPS = 29.4
DIDEMO = {
    "train": [f"1000{n}@N0{n}_700{n}_abc{n}.mov" for n in range(6)],
    "val": ["20001@N01_8001_bcd1.mp4", "20002@N02_8002_bcd2.m4v"],
    "test": ["30001@N01_9001_cde1.avi", "30002@N02_9002_cde2.mov", "30003@N03_9003_cde3.MOV"],
}
# What the archive of Flickr videos lacks, and what its owner took off Flickr
MISSING, DELETED = DIDEMO["train"][1], DIDEMO["test"][1]

VERBS = ("opens", "closes", "holds", "takes", "washes")
THINGS = ("the door", "a box", "the laptop", "a cup", "the window")
# Tokens that hold blanks, as glove.840B.300d has: read by their first field they would be "the"
BLANK_TOKENS = ("the name@domain.com", ". . .")


def sentence(number: int) -> str:
    return f"A person {VERBS[number % 5]} {THINGS[number // 5 % 5]}."


@dataclass
class Upstream:
    """files: source -> its bytes. videos: path below the server's root -> bytes (None: gone).
    by_hand, by_hand_features: file name -> bytes of what a person fetches."""

    files: dict[str, bytes] = field(default_factory=dict)
    videos: dict[str, bytes | None] = field(default_factory=dict)
    by_hand: dict[str, bytes] = field(default_factory=dict)
    by_hand_features: dict[str, bytes] = field(default_factory=dict)


def make_upstream(folder: Path) -> Upstream:
    """Everything, made anew. folder: for what must be written to a file first."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Upstream()
    for make in (_charades, _activitynet, _tacos, _didemo, _features, _weights, _glove):
        make(made, folder)
    return made


def lead_to_server(sources: dict, url: str, made: Upstream) -> dict:
    """config/sources.yaml with the server's addresses, and the sizes and checksums of what is made.

    Names, kinds, forms and which fields are stated stay as they are.
    """
    led = {}
    for name, source in sources.items():
        led[name] = _led(source, url)
        if "pause_s" in led[name].get("videos", {}):
            led[name]["videos"]["pause_s"] = 0
        if name in made.files:
            body = made.files[name]
            stated = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            led[name] |= {key: value for key, value in stated.items() if key in source}
    return led


def server_path(address: str) -> str:
    """Where the server has what an upstream address has, without the query."""
    return re.sub(r"^https?://", "", address).partition("?")[0]


def _led(value: object, url: str) -> object:
    if isinstance(value, dict):
        # a page is for people to read
        return {key: v if key == "page" else _led(v, url) for key, v in value.items()}
    if isinstance(value, list):
        return [_led(entry, url) for entry in value]
    return re.sub(r"^https?://", f"{url}/", value) if isinstance(value, str) else value


# --- data sets -----------------------------------------------------------------------------


def _charades(made: Upstream, folder: Path) -> None:
    for split, videos in CHARADES.items():
        lines = [f"{video} 0.8 4.1##{sentence(n)}" for n, video in enumerate(videos)]
        lines += [f"{video} 2.0 5.5##{sentence(n + 7)}" for n, video in enumerate(videos)]
        lines.append(f"{videos[0]} 3.0 9.5##{sentence(3)}")  # ends after its video: cut to it
        if split == "train":
            lines.append(f"{videos[1]} 5.0 2.5##{sentence(4)}")  # ends before it starts: dropped
        made.files[f"charades_sta_{split}"] = ("\n".join(lines) + "\n").encode()
        head = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions"
        rows = [
            f'{video},S0,Kitchen,6,7,Yes,"A person, at home.",cup,"One; two.",c001 0.0 4.1'
            for video in videos
        ]
        table = [f"{head},length", *(f"{row},{VIDEO_S}" for row in rows)]
        made.files[f"charades_v1_{split}"] = ("\n".join(table) + "\n").encode()
    names = [*CHARADES["train"], *CHARADES["test"], CHARADES_UNUSED]
    made.files["charades_videos"] = _zip(
        {f"Charades_v1_480/{name}.mp4": _video(folder, name) for name in names}
    )


def _activitynet(made: Upstream, folder: Path) -> None:
    for split, videos in ACTIVITYNET.items():
        content = {
            video: {
                "duration": VIDEO_S,
                "timestamps": [[0, 2.5], [1.5, VIDEO_S]],
                "sentences": [sentence(n), f" {sentence(n + 9)}"],  # many begin with a blank
            }
            for n, video in enumerate(videos)
        }
        if split == "train":
            content[videos[1]]["timestamps"].append([4.0, 4.0])  # of no length: dropped
            content[videos[1]]["sentences"].append(sentence(2))
        made.files[f"activitynet_captions_{split}"] = json.dumps(content).encode()
    for video in {*ACTIVITYNET["train"], *ACTIVITYNET["val_1"]}:
        body = None if video in REMOVED else _video(folder, video)
        made.videos[f"www.youtube.com/watched/{video[2:]}"] = body


def _tacos(made: Upstream, folder: Path) -> None:
    for split, videos in TACOS.items():
        seconds, frames = {}, {}
        for n, video in enumerate(videos):
            said = [sentence(n), sentence(n + 6), sentence(n + 6)]  # two people chose the same
            # The original: seconds, no duration, no full stops
            seconds[video] = {
                "timestamps": [[0.5, 1.7], [2.0, 4.4], [2.0, 4.4]],
                "sentences": [text.removesuffix(".") for text in said],
            }
            # 2D-TAN's: frames, and ids that end like a file
            frames[f"{video}.avi"] = {
                "timestamps": [[14, 84], [58, 128], [58, 128]],
                "sentences": said,
                "fps": TACOS_FPS,
                "num_frames": int(VIDEO_S * TACOS_FPS),
            }
            made.by_hand[f"{video}.avi"] = _video(folder, video, ".avi")
        # A row of no length, and one that ends before it starts: dropped
        seconds[videos[0]]["timestamps"].append([4.0, 4.0])
        seconds[videos[0]]["sentences"].append(sentence(1))
        frames[f"{videos[0]}.avi"]["timestamps"].append([90, 60])
        frames[f"{videos[0]}.avi"]["sentences"].append(sentence(1))
        made.files[f"tacos_{split}"] = json.dumps(seconds).encode()
        made.files[f"tacos_2dtan_{split}"] = json.dumps(frames).encode()


def _didemo(made: Upstream, folder: Path) -> None:
    keys, number = [], 0
    spares: dict[str, dict[str, bytes]] = {"missing": {}, "deleted": {}}
    for split, videos in DIDEMO.items():
        rows = []
        for n, video in enumerate(videos):
            chunks = CHUNKS - (n == 0)  # some end before the sixth
            rows += [
                _didemo_row(number := number + 1, video, sentence(n + turn), chunks, turn)
                for turn in (0, 1)
            ]
            key = hashlib.md5(video.encode()).hexdigest()[:30]
            body = _video(folder, video, seconds=CHUNK_S * chunks, fps=5)
            if video == MISSING:
                spares["missing"][video] = body
            elif video == DELETED:
                spares["deleted"][f"missing_videos/{video}"] = body
            else:
                keys.append(f"{video.split('_')[1]}\t{key}")
                host = "multimedia-commons.s3-us-west-2.amazonaws.com/data/videos/mp4"
                made.videos[f"{host}/{key[:3]}/{key[3:6]}/{key}.mp4"] = body
        if split == "train":
            rows.append(_didemo_row(number := number + 1, videos[0], " ", CHUNKS, 0))  # no sentence
        made.files[f"didemo_{split}"] = json.dumps(rows).encode()
    made.files["didemo_hashes"] = ("\n".join(keys) + "\n").encode()
    for name, members in spares.items():
        made.files[f"didemo_videos_{name}"] = _zip(members)


def _didemo_row(number: int, video: str, said: str, chunks: int, turn: int) -> dict:
    first = (number + turn) % 3
    return {
        "annotation_id": number,
        "video": video,
        "description": said.lower(),
        "num_segments": chunks,
        "times": [[first, first], [first, first + 1], [first, first], [0, 2]],
        "dl_link": "https://www.flickr.com/video_download.gne?id=0",
    }


# --- released features, weights and words --------------------------------------------------


def _features(made: Upstream, folder: Path) -> None:
    """ActivityNet's of all its videos, also those taken off the site; DiDeMo's six rows a video;
    Charades' a file a video, in a folder; those of TACoS by the names of its files."""
    rng = np.random.default_rng(7)
    path = folder / "sub_activitynet_v1-3.c3d.hdf5"
    with h5py.File(path, "w") as file:
        for video in [*ACTIVITYNET["train"], *ACTIVITYNET["val_1"], "v_of_another_task"]:
            rows = rng.normal(size=(int(VIDEO_S * FPS) // 8 - 1, 500)).astype(np.float32)
            file.create_dataset(f"{video}/c3d_features", data=rows)
    made.files["activitynet_c3d_pca"] = _zip({path.name: path.read_bytes()})
    path = folder / "average_fc7.h5"
    with h5py.File(path, "w") as file:
        for videos in DIDEMO.values():
            for n, video in enumerate(videos):
                rows = np.maximum(rng.normal(size=(CHUNKS, 4096)), 0)
                # Zero beyond its end, and in one video even where annotators saw a chunk
                rows[CHUNKS - (n < 2) :] = 0
                file.create_dataset(video, data=rows)
    made.files["didemo_vgg_fc7"] = path.read_bytes()
    made.files["charades_i3d_tmlga"] = _zip(
        {
            f"i3d_features/{video}.npy": _npy(rng, 1024)
            for videos in CHARADES.values()
            for video in videos
        }
    )
    path = folder / "tall_c3d_features.hdf5"
    with h5py.File(path, "w") as file:
        for videos in TACOS.values():
            for video in videos:
                file.create_dataset(f"{video}.avi", data=rng.normal(size=(20, 4096)))
    made.by_hand_features = {path.name: path.read_bytes()}


def _npy(rng: np.random.Generator, width: int) -> bytes:
    """As I3D's releases: (rows, 1, 1, width)."""
    stream = io.BytesIO()
    np.save(stream, rng.normal(size=(9, 1, 1, width)).astype(np.float32))
    return stream.getvalue()


def _weights(made: Upstream, folder: Path) -> None:
    """Under the publishers' names, at a thirty-second of the width, with the classes' layers."""
    c3d = C3D(width=WIDTH, size=CROP, seed=1).state_dict()
    hidden = c3d["fc7.bias"].numel()
    c3d |= {"fc8.weight": torch.zeros(487, hidden), "fc8.bias": torch.zeros(487)}
    torch.save(c3d, folder / "c3d.pickle", _use_new_zipfile_serialization=False)
    torch.save(I3D(width=WIDTH, seed=1).state_dict(), folder / "rgb_imagenet.pt")
    tuned = I3D(width=WIDTH, classes=157, seed=2)
    torch.save(tuned.state_dict(), folder / "rgb_charades.pt")
    vgg = VGG16(width=WIDTH, seed=1).state_dict()
    hidden = vgg["classifier.3.bias"].numel()
    vgg |= {
        "classifier.6.weight": torch.zeros(1000, hidden),
        "classifier.6.bias": torch.zeros(1000),
    }
    torch.save(vgg, folder / "vgg16.pth")
    made.files["c3d_sports1m"] = (folder / "c3d.pickle").read_bytes()
    made.files["i3d_kinetics_rgb"] = (folder / "rgb_imagenet.pt").read_bytes()
    made.files["i3d_charades_rgb"] = (folder / "rgb_charades.pt").read_bytes()
    made.files["vgg16_imagenet"] = (folder / "vgg16.pth").read_bytes()


def glove_vector(word: str) -> list[str]:
    """300 decimals that depend on the word alone."""
    rng = np.random.default_rng(list(word.encode()))
    return [f"{value:.5f}" for value in rng.normal(scale=0.4, size=300)]


def _glove(made: Upstream, folder: Path) -> None:
    words = {word.lower() for n in range(25) for word in sentence(n).removesuffix(".").split()}
    lines = [
        " ".join([token, *glove_vector(token)]) for token in (",", *BLANK_TOKENS, *sorted(words))
    ]
    made.files["glove_840b_300d"] = _zip(
        {"glove.840B.300d.txt": ("\n".join(lines) + "\n").encode()}
    )


# --- containers ----------------------------------------------------------------------------


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return stream.getvalue()


def _video(
    folder: Path, name: str, suffix: str = ".mp4", seconds: float = VIDEO_S, fps: int = FPS
) -> bytes:
    """A camera that moves over noise, each video over its own; AVI as MPEG-4, MP4 as H.264."""
    rate: int | Fraction = fps
    if suffix == ".avi":
        rate = Fraction(str(TACOS_FPS))
    rng = np.random.default_rng(list(name.encode()))
    frames = int(seconds * rate)
    scenery = rng.integers(0, 256, (36, 48 + frames, 3), dtype=np.uint8)
    path = folder / f"{name}{suffix}"
    with av.open(str(path), "w") as container:
        codec, options = ("mpeg4", {}) if suffix == ".avi" else ("libx264", {"threads": "1"})
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
        for k in range(frames):
            picture = np.ascontiguousarray(scenery[:, k : k + 48])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()
