"""Files → images and revisions, by the field's naming conventions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from numpy.typing import NDArray

from annotator import storage
from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, CytoloopError, Unavailable
from annotator.formats.label_files import LabelFile, read_label_file
from annotator.formats.types_csv import read_types
from annotator.models import Dataset, Image, Split
from annotator.models.images import MIXED
from annotator.naming import FileRole, Kind, base_name, file_role
from annotator.readers import EXTENSIONS
from annotator.services.annotations import RevisionDetails, revision_submit
from annotator.services.images import image_culture_set, image_import, image_stem
from inference.labels import cell_ids

# Where several lie beside one image, the first is taken: the others are its copies.
PRECEDENCE = ("_masks", "_cp_masks", "_seg", "_rois")
Regions = list[list[int]] | None  # complete regions; None: the whole image
FEW = 5  # below so many images, one split for all is nothing to remark on


@dataclass(frozen=True)
class ImportFile:
    """A file to import. ``read`` is called once, when its turn comes."""

    name: str
    read: Callable[[], bytes]
    folder: str = ""  # masks belong to the image in the same folder

    @property
    def path(self) -> str:
        """How the file is called in reports."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass
class ImportReport:
    """What became of the files."""

    imported: list[Image] = field(default_factory=list)
    duplicates: list[tuple[str, Image]] = field(default_factory=list)  # (file, the image it is)
    revisions: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)  # (file, why)
    notes: list[str] = field(default_factory=list)

    @property
    def stored(self) -> bool:
        """Whether anything was."""
        return bool(self.imported or self.revisions)

    def fail(self, file: ImportFile, error: CytoloopError) -> None:
        self.failed.append((file.path, error.message))

    def leave(self, files: Iterable[ImportFile], why: str) -> None:
        """Say that ``files``, with which nothing is wrong, were not used."""
        self.notes += [f"{file.path} was not used: {why}." for file in files]


@dataclass
class _Bundle:
    """Files that share folder and stem: an image and what lies beside it."""

    stem: str
    images: list[ImportFile] = field(default_factory=list)
    labels: list[tuple[FileRole, ImportFile]] = field(default_factory=list)
    types: list[ImportFile] = field(default_factory=list)

    @property
    def masks(self) -> list[ImportFile]:
        """The first is taken."""
        ranked = sorted(self.labels, key=lambda each: PRECEDENCE.index(each[0].suffix))
        return [file for _, file in ranked]

    @property
    def beside(self) -> list[ImportFile]:
        """What belongs to the image."""
        return [*self.masks, *self.types]

    @property
    def files(self) -> list[ImportFile]:
        """All of them."""
        return [*self.images, *self.beside]


@dataclass(frozen=True)
class _Given:
    """What an image's revision is to hold."""

    labels: NDArray[Any]
    types: dict[int, str]
    regions: Regions


@dataclass(frozen=True)
class _Import:
    """One call of images_import: what its steps share."""

    dataset: Dataset
    uploaded_by: User | None
    split: str | None
    culture: str | None
    report: ImportReport
    told: set[str] = field(default_factory=set)  # paths of images imported or known


def images_import(
    *,
    dataset: Dataset,
    files: Sequence[ImportFile],
    uploaded_by: User | None,
    split: str | None = None,
    culture: str | None = None,
) -> ImportReport:
    """Import images, and the masks and types beside them as revisions by ``uploaded_by``.

    Every stored thing is whole: an image whose masks are refused is imported without them, and
    types that are refused take their masks with them. Masks may come later than their image.

    Raises BadInput for an unknown split or culture, and Unavailable when storage fails before
    anything was stored; what is wrong with a file is in the report. Where storage fails later,
    the files that are left are reported, not tried one after the other.
    """
    if split and split not in Split.values:
        raise BadInput(f"The split {split} is unknown; use {', '.join(Split.values)}.")
    known = [*dataset.types.values_list("name", flat=True), MIXED]
    if culture and culture.lower() not in [name.lower() for name in known]:
        raise BadInput(f"The culture {culture} is unknown; this data set has {', '.join(known)}.")
    work = _Import(dataset, uploaded_by, split, culture, ImportReport())
    _import_all(work, _bundles(files, work.report))
    _remark_on_splits(work)
    if work.report.imported:
        enqueue(Job.PREDICT_IMAGES, dataset.pk)
    return work.report


def _import_all(work: _Import, bundles: Sequence[_Bundle]) -> None:
    for number, bundle in enumerate(bundles):
        try:
            _import_bundle(work, bundle)
        except Unavailable as error:
            if not work.report.stored:
                raise
            told = work.told | {path for path, _ in work.report.failed}
            for file in (file for left in bundles[number:] for file in left.files):
                if file.path not in told:
                    work.report.fail(file, error)
            return


def _bundles(files: Iterable[ImportFile], report: ImportReport) -> list[_Bundle]:
    found: dict[tuple[str, str], _Bundle] = defaultdict(lambda: _Bundle(""))
    for file in files:
        try:
            role = file_role(file.name)
        except BadInput as error:
            report.fail(file, error)
            continue
        bundle = found[(file.folder, role.stem)]
        bundle.stem = role.stem
        if role.kind is Kind.IMAGE:
            bundle.images.append(file)
        elif role.kind is Kind.LABELS:
            bundle.labels.append((role, file))
        elif role.kind is Kind.TYPES:
            bundle.types.append(file)
        elif not file.name.lower().endswith((*EXTENSIONS, ".npy")) and file.name[0] != ".":
            report.fail(file, BadInput(f"{base_name(file.name)} is not one of {_known_endings()}."))
        elif file.name[0] != ".":
            report.notes.append(
                f"{base_name(file.name)} was not used: such names are by-products of cellpose."
                " Rename it if it is an image."
            )
    # Masks in a folder of their own come after the image that they may belong to.
    return [found[key] for key in sorted(found, key=lambda key: (not found[key].images, key))]


def _known_endings() -> str:
    return ", ".join((*EXTENSIONS, "_seg.npy", "_rois.zip", "_types.csv"))


def _import_bundle(work: _Import, bundle: _Bundle) -> None:
    images = _import_images(work, bundle)
    if not bundle.beside:
        return
    if bundle.images and not images:
        work.report.leave(bundle.beside, f"its image {bundle.images[0].path} was refused")
        return
    try:
        image = _owner(work.dataset, bundle, images)
    except CytoloopError as error:
        for file in bundle.beside:
            work.report.fail(file, error)
        return
    _attach(work, image, next(iter(bundle.masks), None), next(iter(bundle.types), None))
    for taken, *others in filter(None, (bundle.masks, bundle.types)):
        work.report.leave(others, f"{taken.name} comes before it")


def _import_images(work: _Import, bundle: _Bundle) -> list[Image]:
    """The bundle's images that are in the data set now."""
    images = {}
    for file in bundle.images:
        try:
            found = image_import(
                dataset=work.dataset,
                name=file.name,
                content=file.read(),
                uploaded_by=work.uploaded_by,
                split=work.split,
                culture=work.culture,
            )
        except Unavailable:
            raise
        except CytoloopError as error:
            work.report.fail(file, error)
            continue
        images[found.image.pk] = found.image
        work.told.add(file.path)
        if found.note and found.note not in work.report.notes:
            work.report.notes.append(found.note)
        if found.duplicate:
            work.report.duplicates.append((file.path, found.image))
        else:
            work.report.imported.append(found.image)
    return list(images.values())


def _owner(dataset: Dataset, bundle: _Bundle, images: list[Image]) -> Image:
    """The one image that the bundle's masks belong to: imported with them, or before."""
    stem = bundle.stem
    if not images:
        named = Image.objects.filter(dataset=dataset, name__startswith=stem)
        images = [image for image in named if image_stem(image) == stem]
    if len(images) == 1:
        return images[0]
    if not images:
        raise BadInput(f"No image called {stem} lies beside it or in the data set.")
    if bundle.images:
        raise BadInput(f"{len(images)} images are called {stem}; put them into separate folders.")
    raise BadInput(
        f"{len(images)} images of the data set are called {stem}; import it with its own image "
        "in one folder."
    )


def _attach(
    work: _Import, image: Image, masks: ImportFile | None, types: ImportFile | None
) -> None:
    """Append a revision of ``masks`` typed by ``types``, unless it is known already."""
    given = [file for file in (masks, types) if file is not None]
    asked = given[0]
    try:
        labels, cell_types, regions = _masks_of(image, masks)
        if types is not None:
            asked = types
            cell_types = _types_of(work.dataset, types, labels)
        asked = given[0]
        added = _revise(work, image, _Given(labels, cell_types, regions))
    except Unavailable:
        raise
    except CytoloopError as error:
        work.report.fail(asked, error)
        others = [file for file in given if file is not asked]
        work.report.leave(others, f"{asked.name} was refused")
        return
    work.report.revisions += added


def _masks_of(
    image: Image, masks: ImportFile | None
) -> tuple[NDArray[Any], dict[int, str], Regions]:
    """Labels, types and complete regions of the file; without one, labels and regions of the head.

    Masks in a file are taken for those of the whole image.
    """
    if masks is not None:
        read: LabelFile = read_label_file(masks.read(), masks.name, (image.height, image.width))
        return read.labels, _known_types(image.dataset, read.types, masks.name), None
    head = image.revisions.order_by("-number").first()
    if head is None:
        raise BadInput(f"{image.name} has no masks that these types could belong to.")
    return storage.labels_get(head.labels_key), {}, head.complete_regions


def _types_of(dataset: Dataset, file: ImportFile, labels: NDArray[Any]) -> dict[int, str]:
    found = _known_types(dataset, read_types(file.read(), file.name), file.name)
    absent = sorted(set(found) - set(cell_ids(labels).tolist()))
    if absent:
        raise BadInput(f"{file.name} types the cell {absent[0]}, which the masks do not have.")
    return found


def _known_types(dataset: Dataset, found: dict[int, str], name: str) -> dict[int, str]:
    """The types as the data set spells them; BadInput for one it does not have."""
    spelled = {row.name.lower(): row.name for row in dataset.types.all()}
    unknown = sorted({kind for kind in found.values() if kind.lower() not in spelled})
    if unknown:
        raise BadInput(
            f"{name} names the type {unknown[0]}, which this data set does not have "
            f"({', '.join(spelled.values()) or 'it has none'}). Add the type or correct the file."
        )
    return {label: spelled[kind.lower()] for label, kind in found.items()}


def _revise(work: _Import, image: Image, given: _Given) -> int:
    """1 when a revision was added; 0 when any revision of the image says the same already.

    Older revisions count too: importing a folder again must not undo corrections made since.
    Cells of several types make the image's culture mixed, once they are stored.
    """
    becomes_mixed = len(set(given.types.values())) > 1 and image.culture != MIXED
    if becomes_mixed:  # in memory: no cell without a type must take the type of the culture
        image.culture, image.culture_type = MIXED, None
    added = 0 if _is_known(image, given) else _append(work, image, given)
    if becomes_mixed:
        image_culture_set(image=image, culture=MIXED)
    return added


def _is_known(image: Image, given: _Given) -> bool:
    for known in image.revisions.filter(labels_key=storage.labels_put(given.labels)):
        stored = dict(known.cells.values_list("label", "type__name"))
        if all(stored.get(label) == kind for label, kind in given.types.items()):
            return True
    return False


def _append(work: _Import, image: Image, given: _Given) -> int:
    head = image.revisions.order_by("-number").first()
    revision_submit(
        image=image,
        author=work.uploaded_by,
        labels=given.labels,
        cell_types=given.types,
        base_number=head.number if head else 0,
        details=RevisionDetails(source="import", complete_regions=given.regions),
    )
    return 1


def _remark_on_splits(work: _Import) -> None:
    images = work.report.imported
    splits = {image.split for image in images}
    if work.split or len(images) < FEW or len(splits) > 1:
        return
    groups = sorted({image.group for image in images})
    work.report.notes.append(
        f"All {len(images)} images are in the split {splits.pop()}, since splits follow groups "
        f"and these are {len(groups)} ({', '.join(groups[:3])}). Give the split on import, or "
        "name smaller groups in the pattern."
    )
