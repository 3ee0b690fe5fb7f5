"""Images: original bytes into storage, one row each, with split and culture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotator import naming, readers, storage
from annotator.exceptions import BadInput, Unavailable
from annotator.models import CellType, Dataset, Draft, Image, Prediction, Split
from annotator.models.images import MIXED
from annotator.services.heats import heat_key

THUMBNAIL_PX = 256


@dataclass(frozen=True)
class ImportedImage:
    """The image, whether its bytes were in the data set before, and what to remark on."""

    image: Image
    duplicate: bool
    note: str = ""


@dataclass(frozen=True)
class Placement:
    """Where an image belongs: split, group, culture and the parts of its name."""

    split: Split
    group: str
    culture: str
    culture_type: CellType | None
    parts: dict[str, str]
    note: str


def image_import(
    *,
    dataset: Dataset,
    name: str,
    content: bytes | Path,
    uploaded_by: User | None,
    split: str | None = None,
    culture: str | None = None,
) -> ImportedImage:
    """Store one image file; the same bytes twice are one image.

    ``split`` and ``culture`` (a type's name or ``mixed``) win over the file name. Without
    ``split`` the image joins the others of its group, wherever they were put.

    Raises:
        UnreadableImage: the file cannot be read, or its channels are not the data set's.
        BadInput: an unknown split, culture, or type in the file name.
        Unavailable: object storage failed.
    """
    name = naming.base_name(name)
    sha256 = storage.sha256_of(content)
    known = Image.objects.filter(dataset=dataset, sha256=sha256).first()
    if known is not None:
        return _duplicate(known, content)
    read = readers.read_image(content, name)
    shown = readers.with_roles(read.array, dataset.channels, name)
    place = _placement(dataset, name, sha256, split, culture)
    image = Image(
        dataset=dataset,
        name=name,
        sha256=sha256,
        key=storage.put(storage.image_key(sha256), content),
        size_bytes=len(content) if isinstance(content, bytes) else content.stat().st_size,
        width=read.array.shape[2],
        height=read.array.shape[1],
        channel_count=read.array.shape[0],
        dtype=str(read.array.dtype),
        pixel_size_um=read.pixel_size_um,
        split=place.split,
        group=place.group,
        culture=place.culture,
        culture_type=place.culture_type,
        uploaded_by=uploaded_by,
        **{part: place.parts.get(part, "")[:60] for part in ("batch", "well", "field")},
    )
    storage.put(_thumbnail_key(image), _thumbnail(shown, dataset.channels))
    try:
        with transaction.atomic():
            image.save()
    except IntegrityError:  # somebody else imported the same bytes a moment ago
        return _duplicate(Image.objects.get(dataset=dataset, sha256=sha256), content)
    # Whoever deleted the same bytes before this row was there may have removed the object since.
    storage.put(image.key, content)
    return ImportedImage(image, duplicate=False, note=place.note)


def _duplicate(image: Image, content: bytes | Path) -> ImportedImage:
    """``image`` as it is, its bytes put back in case they were lost."""
    storage.put(image.key, content)
    return ImportedImage(image, duplicate=True)


def _placement(
    dataset: Dataset, name: str, sha256: str, split: str | None, culture: str | None
) -> Placement:
    types = {row.name: row for row in dataset.types.all()}
    stem = naming.file_role(name).stem
    parsed = naming.parse_name(stem, dataset.type_pattern, list(types))
    known = ", ".join([*types, MIXED])
    if culture:
        spelled = {each.lower(): each for each in (*types, MIXED)}.get(culture.lower())
        if spelled is None:
            raise BadInput(f"The culture {culture} is unknown; this data set has {known}.")
        culture = spelled
    elif parsed.unknown_type:
        raise BadInput(
            f"{name} names the type {parsed.type_word}, which this data set does not have "
            f"({known}). Rename the file, add the type, change the pattern "
            f"{dataset.type_pattern}, or give the culture."
        )
    else:
        culture = parsed.culture
    if split and split not in Split.values:
        raise BadInput(f"The split {split} is unknown; use {', '.join(Split.values)}.")
    group = parsed.group or sha256
    # Without a group the content is one, and nobody else can be in it.
    taken = _splits_with(dataset, group) if parsed.group else []
    chosen, note = _split_of(group, taken, split)
    return Placement(
        split=chosen,
        group=group[:120],
        culture=culture,
        culture_type=types.get(culture),
        parts=parsed.parts,
        note=note,
    )


def _splits_with(dataset: Dataset, group: str) -> list[str]:
    """The splits that images of ``group`` are in."""
    images = Image.objects.filter(dataset=dataset, group=group[:120])
    return list(images.order_by("split").values_list("split", flat=True).distinct())


def _split_of(group: str, taken: list[str], given: str | None) -> tuple[Split, str]:
    """The split of an image of ``group``, whose others are in ``taken``, and what to say of it.

    Without one given, that of the group's images in the data set: the hash would send the rest of
    a group that was imported with a split to another one, and the scores would lie.
    """
    if not given:
        # Where they are in several, one more for training spoils no figure that was sound.
        joined = min(taken, key=Split.values.index, default=naming.split_of(group))
        return Split(joined), ""
    others = " and ".join(name for name in taken if name != given)
    if not others:
        return Split(given), ""
    return Split(given), (
        f"Images of {group} are in the split {others} too, and now in {given}: images of one group"
        " in several splits make scores look better than they are."
    )


@transaction.atomic
def image_culture_set(*, image: Image, culture: str) -> None:
    """Set the culture to a type's name or ``mixed``; BadInput when unknown."""
    found = image.dataset.types.filter(name=culture).first()
    if found is None and culture != MIXED:
        raise BadInput(f"The culture {culture} is unknown.")
    image.culture, image.culture_type = culture, found
    image.save(update_fields=["culture", "culture_type"])


def image_delete(*, image: Image) -> None:
    """Delete an image with its predictions, revisions and drafts.

    Its bytes go too, unless another data set holds the same file. Label images of revisions stay:
    they are addressed by content, and snapshots may name them.
    """
    keys = [image.key, _thumbnail_key(image)]
    own = heat_key(image.pk)
    drafts = list(Draft.objects.filter(image=image).values_list("labels_key", flat=True))
    flows = set(image.predictions.exclude(flows_key="").values_list("flows_key", flat=True))
    with transaction.atomic():
        image.delete()
    for key in (*drafts, own):
        storage.delete(key)
    for key in flows:
        if not Prediction.objects.filter(flows_key=key).exists():
            storage.delete(key)
    if not Image.objects.filter(sha256=image.sha256).exists():
        for key in (*keys, *storage.keys_under(crops_folder(image))):
            storage.delete(key)


def image_bytes(image: Image) -> bytes:
    """The original file, bit for bit. Raises Unavailable when it is missing or damaged."""
    content = storage.get(image.key)
    if storage.sha256_of(content) != image.sha256:
        raise Unavailable(f"The stored original of {image.name} is damaged.")
    return content


def image_array(image: Image) -> NDArray[Any]:
    """What the models and the editor see: (C, H, W), cytoplasm before nucleus, original depth."""
    read = readers.read_image(image_bytes(image), image.name)
    return readers.with_roles(read.array, image.dataset.channels, image.name)


def image_thumbnail(*, image: Image) -> bytes:
    """PNG of at most 256 px: cytoplasm green, nucleus blue, a single channel gray."""
    key = _thumbnail_key(image)
    try:
        return storage.get(key)
    except Unavailable:  # never made, or lost: it follows from the original
        png = _thumbnail(image_array(image), image.dataset.channels)
        return storage.get(storage.put(key, png))


def _thumbnail_key(image: Image) -> str:
    roles = "".join(role[0] for role in image.dataset.channels)  # e.g. "-cn"
    return f"thumbnails/{image.sha256[:2]}/{image.sha256}.{roles}.png"


def crops_folder(image: Image) -> str:
    """Where pictures of single cells are kept; they follow from the image and its labels."""
    return f"crops/{image.sha256[:2]}/{image.sha256}"


def _thumbnail(shown: NDArray[Any], roles: list[str]) -> bytes:
    """Composite of ``shown`` (C, H, W) (C in the models' order), every channel stretched."""
    buffer = io.BytesIO()
    small = _thinned(shown)
    Pillow.fromarray(composite(small, roles, contrast(small))).save(buffer, "PNG")
    return buffer.getvalue()


def _thinned(shown: NDArray[Any]) -> NDArray[Any]:
    """Every so many pixels of (C, H, W), so that it is as small as a thumbnail."""
    step = max(1, -(-max(shown.shape[1:]) // THUMBNAIL_PX))
    return shown[:, ::step, ::step]


def contrast(shown: NDArray[Any]) -> NDArray[np.float64]:
    """What is black and what is full in each channel of (C, H, W): (2, C, 1, 1)."""
    low, high = np.percentile(
        _thinned(shown).astype(np.float32), (1, 99.5), axis=(1, 2), keepdims=True
    )
    return np.stack([low, np.maximum(high, low + 1e-6)])


def composite(
    shown: NDArray[Any], roles: list[str], limits: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """``shown`` (C, H, W) in the colours of thumbnails, between the ``limits`` of ``contrast``.

    (H, W, 3), cytoplasm green and nucleus blue; (H, W), gray, of a single channel.
    """
    low, high = limits
    levels = (np.clip((shown - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    if len(levels) == 1:
        return levels[0]
    rgb = np.zeros((*levels.shape[1:], 3), np.uint8)
    for role, plane in zip(readers.model_channels(roles), levels, strict=True):
        rgb[..., 1 if role == "cytoplasm" else 2] = plane
    return rgb


def image_stem(image: Image) -> str:
    """The stem that masks and types share with ``image``."""
    return naming.file_role(image.name).stem or PurePath(image.name).stem
