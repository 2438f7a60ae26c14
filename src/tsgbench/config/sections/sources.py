"""config/sources.yaml."""

from typing import Annotated, Literal

from annotated_types import Ge, Len, MinLen
from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from tsgbench.config.sections.common import (
    Key,
    Name,
    Names,
    Section,
    Text,
    Unique,
    left_out,
)
from tsgbench.settings import NotNegative, Share, Size

Address = Annotated[str, Field(pattern="^(https?|file)://")]
Urls = Annotated[list[Address], MinLen(1), Unique]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
EXACT = "Exact size."
ORIGINS = ("urls", "parts", "videos", "package", "folder")


def _stays_inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} must stay below data/raw; give a relative place without `..`")
    return path


Place = Annotated[str, Field(pattern="^[A-Za-z0-9_./-]+$"), AfterValidator(_stays_inside)]


class Alternate(Section):
    """Where else it may be, since somebody reported an address dead."""

    url: Address = left_out("Tried after the others; without it, a place for a person to look at.")
    note: Text = Field(description="Who reported what, and when; where this is from.")


Alternates = Annotated[list[Alternate], MinLen(1)]


class Part(Section):
    """A piece that a file is joined from."""

    urls: Urls = Field(description="Tried in order.")
    alternates: Alternates = left_out("Tried after them, each held to the same checksum.")
    bytes: Size = left_out(EXACT)
    sha256: Sha256 = left_out("Checksum.")


class StandIn(Section):
    """A file of a mirror that stands for another."""

    path: Place = Field(description="Below the mirror.")
    bytes: Size = Field(description=EXACT)
    sha256: Sha256 = Field(description="Checksum.")
    purpose: Text = Field(description="What it holds.")


StandIns = Annotated[list[StandIn], MinLen(1)]


class Unpack(Section):
    """The file is an archive, and used unpacked."""

    into: Place = Field(description="Folder below data/raw.")
    members: Annotated[list[Text], MinLen(1)] = left_out(
        "Patterns of the files to take; all of them without."
    )
    max_bytes: Size = Field(description="An archive that unpacks to more is refused.")
    keep: bool = left_out("Whether the archive stays.")


class Videos(Section):
    """The path is a folder of videos, fetched one by one."""

    ids_from: Names = left_out("Annotation sources that name the videos.")
    listed_in: Annotated[str, Field(pattern=r"^config/lists/[a-z0-9_]+\.csv$")] = left_out(
        "Table of this repository, video and sha256, in the place of ids_from."
    )
    suffix: Literal[".mp4", ".avi", ".jsonl"] = Field(description="Of the files.")
    by: Literal["template", "yt_dlp", "page"] = Field(description="How each is fetched.")
    url: Address | Urls = left_out(
        "With {key}, {key_1}, {key_2}: the host's name for it; several: in order.",
    )
    key: Key = left_out("Pattern of an id; its group is the host's name for the video.")
    keys: Name = left_out("Source with a table to look it up in.")
    spares: Names = left_out("Sources asked before the url.")
    format: Text = left_out("yt-dlp's choice of format.")
    pause_s: NotNegative = left_out("Seconds between two videos.")
    max_failed_share: Share = Field(description="What may be lost before the download stops.")

    @model_validator(mode="after")
    def _has_an_address(self) -> "Videos":
        if self.by != "page" and self.url is None:
            raise ValueError("key 'url' is missing")
        if (self.ids_from is None) == (self.listed_in is None):
            raise ValueError("give one of ids_from and listed_in")
        return self


class Member(Section):
    """A file of an installed package."""

    member: Place = Field(description="Below the package's folder.")
    bytes: Size = Field(description=EXACT)
    sha256: Sha256 = Field(description="Checksum.")


class Package(Section):
    """The path is a folder of files that an installed Python package holds."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9._-]+$")] = Field(description="Of the package.")
    version: Annotated[str, Field(pattern="^[0-9][0-9A-Za-z.+!]*$")] = Field(
        description="Exact version."
    )
    members: Annotated[list[Member], MinLen(1)] = Field(description="Its files that are used.")


class Folder(Section):
    """The path is a folder of links to files of this machine."""

    at: Text = Field(description="The folder, anywhere.")
    members: Annotated[list[Text], MinLen(1)] = Field(description="Patterns of the files' names.")
    sha256: Sha256 = Field(description="Checksum of their list, as `manifest.csv` has it.")


class Source(Section):
    """Something that a study downloads."""

    path: Place = Field(description="File, or folder of videos, below data/raw and a mirror.")
    kind: Literal["annotation", "videos", "features", "weights", "vectors"] = Field(
        description="What it is."
    )
    urls: Urls = left_out("Addresses of the file, tried in order.")
    parts: Annotated[list[Part], Len(2, 100)] = left_out(
        "Pieces that the file is joined from, in order."
    )
    alternates: Alternates = left_out(
        "Tried after its addresses, each held to the same checksum; of videos, with {key}."
    )
    page: Address = left_out("Where a person gets it, if no address gives it.")
    bytes: Size = left_out(EXACT)
    about_bytes: Annotated[int, Ge(1)] = left_out("Size as a page rounds it, for the listing.")
    sha256: Sha256 = left_out("Checksum.")
    licence: Text = Field(description="Terms of use.")
    purpose: Text = Field(description="What it holds.")
    needs: Names = left_out("Sources whose files this one reads.")
    excerpts: StandIns = left_out("Files of a mirror that together hold part of the rows.")
    substitutes: StandIns = left_out("Files of a mirror that each stand for the whole.")
    unpack: Unpack = left_out("The file is an archive, and used unpacked.")
    videos: Videos = left_out("The path is a folder of videos.")
    package: Package = left_out("The files come with an installed package.")
    folder: Folder = left_out("The files are on this machine.")

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> "Source":
        given = [name for name in ORIGINS if getattr(self, name) is not None]
        if len(given) > 1 or not (given or self.page):
            raise ValueError(f"give one of {', '.join(ORIGINS)}, or page alone")
        taken = [name for name in ("unpack", "excerpts", "substitutes") if getattr(self, name)]
        for origin in ("videos", "package", "folder"):
            if getattr(self, origin) is not None and taken:
                raise ValueError(f"{origin} and {taken[0]} exclude each other; remove one")
        if self.unpack is not None and len(taken) > 1:
            raise ValueError(f"unpack and {taken[1]} exclude each other; remove one")
        return self


FILE = TypeAdapter(Annotated[dict[Name, Source], MinLen(1)])
