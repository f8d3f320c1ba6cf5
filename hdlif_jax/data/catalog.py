"""The datasets by name: what their authors distribute, how many examples there are, and how to normalise them."""

import dataclasses
from typing import Literal, NamedTuple

from hdlif_jax.data.errors import DataError


class Original(NamedTuple):
    """A file as its authors distribute it.

    Attributes:
      name: of the file.
      md5: known digest; None where none was published.
      url: where it can be fetched without logging in; None where it cannot.
    """

    name: str
    md5: str | None = None
    url: str | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A dataset of the catalogue.

    Attributes:
      name: on the command line.
      prepared_name: folder of its prepared form; the name of the builder of tensorflow-datasets, where it has one.
      version: of the prepared form, as that builder's.
      kind: images, or recordings of an event camera.
      shape: (H, W, C) of an image, of which None varies from image to image; (H, W, 2) of a recording's sensor.
      num_classes: K.
      counts: examples of each prepared split.
      test: the split that is looked at once; the other one is trained on.
      mean: per channel, of inputs in [0, 1].
      std: per channel, of inputs in [0, 1].
      originals: what to get; one of two layouts is enough where the note says so.
      note: about the originals.
      known: digests of files inside the archives, by base name.
    """

    name: str
    prepared_name: str
    version: str
    kind: Literal["images", "events"]
    shape: tuple[int | None, int | None, int]
    num_classes: int
    counts: dict[str, int]
    test: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    originals: tuple[Original, ...]
    note: str = ""
    known: dict[str, str] = dataclasses.field(default_factory=dict)

    def what_to_get(self) -> str:
        """One line: which files, from where."""
        files = ", ".join(file.name + (f" ({file.url})" if file.url else "") for file in self.originals)
        return files + (f"; {self.note}" if self.note else "")


COUNTS = (1 / 255, 1 / 255)  # as std, this leaves event counts as they are
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
NMNIST_URL = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
DVS_URL = "https://ndownloader.figshare.com/files/"
ONE_LAYOUT = "one of the two is enough"

CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="mnist",
            prepared_name="mnist",
            version="3.0.1",
            kind="images",
            shape=(28, 28, 1),
            num_classes=10,
            counts={"train": 60000, "test": 10000},
            test="test",
            mean=(0.1307,),
            std=(0.3081,),
            originals=(
                Original("train-images-idx3-ubyte.gz", None, MNIST_URL + "train-images-idx3-ubyte.gz"),
                Original("train-labels-idx1-ubyte.gz", None, MNIST_URL + "train-labels-idx1-ubyte.gz"),
                Original("t10k-images-idx3-ubyte.gz", None, MNIST_URL + "t10k-images-idx3-ubyte.gz"),
                Original("t10k-labels-idx1-ubyte.gz", None, MNIST_URL + "t10k-labels-idx1-ubyte.gz"),
            ),
            known={
                "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
                "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
                "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
                "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            },
        ),
        Entry(
            name="fashion-mnist",
            prepared_name="fashion_mnist",
            version="3.0.1",
            kind="images",
            shape=(28, 28, 1),
            num_classes=10,
            counts={"train": 60000, "test": 10000},
            test="test",
            mean=(0.2860,),
            std=(0.3530,),
            originals=(
                Original("train-images-idx3-ubyte.gz", None, FASHION_URL + "train-images-idx3-ubyte.gz"),
                Original("train-labels-idx1-ubyte.gz", None, FASHION_URL + "train-labels-idx1-ubyte.gz"),
                Original("t10k-images-idx3-ubyte.gz", None, FASHION_URL + "t10k-images-idx3-ubyte.gz"),
                Original("t10k-labels-idx1-ubyte.gz", None, FASHION_URL + "t10k-labels-idx1-ubyte.gz"),
            ),
            note="Debian's package dataset-fashion-mnist has them in /usr/share/datasets/fashion-mnist",
            known={
                "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
                "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
                "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
            },
        ),
        Entry(
            name="cifar10",
            prepared_name="cifar10",
            version="3.0.2",
            kind="images",
            shape=(32, 32, 3),
            num_classes=10,
            counts={"train": 50000, "test": 10000},
            test="test",
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
            originals=(
                Original(
                    "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", CIFAR_URL + "cifar-10-binary.tar.gz"
                ),
                Original(
                    "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", CIFAR_URL + "cifar-10-python.tar.gz"
                ),
            ),
            note=ONE_LAYOUT,
            known={
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "40351d587109b95175f43aff81a1287e",
                "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
            },
        ),
        Entry(
            name="cifar100",
            prepared_name="cifar100",
            version="3.0.2",
            kind="images",
            shape=(32, 32, 3),
            num_classes=100,
            counts={"train": 50000, "test": 10000},
            test="test",
            mean=(0.5071, 0.4865, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
            originals=(
                Original(
                    "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", CIFAR_URL + "cifar-100-binary.tar.gz"
                ),
                Original(
                    "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", CIFAR_URL + "cifar-100-python.tar.gz"
                ),
            ),
            note=ONE_LAYOUT,
            known={
                "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
                "test.bin": "4499cfba6c016c1be1438163640a0898",
                "train": "16019d7e3df5f24257cddd939b257f8d",
                "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
                "meta": "7973b15100ade9c7d40fb424638fde48",
            },
        ),
        Entry(
            name="tiny-imagenet",
            prepared_name="tiny_imagenet",
            version="1.0.0",
            kind="images",
            shape=(64, 64, 3),
            num_classes=200,
            counts={"train": 100000, "validation": 10000},
            test="validation",
            mean=(0.4802, 0.4481, 0.3975),
            std=(0.2770, 0.2691, 0.2821),
            originals=(
                Original(
                    "tiny-imagenet-200.zip",
                    "90528d7ca1a48142e341f4ef8d21d0de",
                    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                ),
            ),
            note="or the unpacked folder",
        ),
        Entry(
            name="imagenet",
            prepared_name="imagenet2012",
            version="5.1.0",
            kind="images",
            shape=(None, None, 3),
            num_classes=1000,
            counts={"train": 1281167, "validation": 50000},
            test="validation",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            originals=(
                Original("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
                Original("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
                Original("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
            ),
            note="from image-net.org after registering; or a folder with train/<wnid> and val/<wnid>",
        ),
        Entry(
            name="nmnist",
            prepared_name="nmnist",
            version="1.0.0",
            kind="events",
            shape=(34, 34, 2),
            num_classes=10,
            counts={"train": 60000, "test": 10000},
            test="test",
            mean=(0.0, 0.0),
            std=COUNTS,
            originals=(
                Original(
                    "Train.zip",
                    "20959b8e626244a1b502305a9e6e2031",
                    NMNIST_URL + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                ),
                Original(
                    "Test.zip",
                    "69ca8762b2fe404d9b9bad1103e97832",
                    NMNIST_URL + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                ),
            ),
            note="or the unpacked folders Train and Test",
        ),
        Entry(
            name="dvs-cifar10",
            prepared_name="dvs_cifar10",
            version="1.0.0",
            kind="events",
            shape=(128, 128, 2),
            num_classes=10,
            counts={"train": 9000, "test": 1000},
            test="test",
            mean=(0.0, 0.0),
            std=COUNTS,
            originals=(
                Original("airplane.zip", "0afd5c4bf9ae06af762a77b180354fdd", DVS_URL + "7712788"),
                Original("automobile.zip", "8438dfeba3bc970c94962d995b1b9bdd", DVS_URL + "7712791"),
                Original("bird.zip", "a9c207c91c55b9dc2002dc21c684d785", DVS_URL + "7712794"),
                Original("cat.zip", "52c63c677c2b15fa5146a8daf4d56687", DVS_URL + "7712812"),
                Original("deer.zip", "b6bf21f6c04d21ba4e23fc3e36c8a4a3", DVS_URL + "7712815"),
                Original("dog.zip", "f379ebdf6703d16e0a690782e62639c3", DVS_URL + "7712818"),
                Original("frog.zip", "cad6ed91214b1c7388a5f6ee56d08803", DVS_URL + "7712842"),
                Original("horse.zip", "e7cbbf77bec584ffbf913f00e682782a", DVS_URL + "7712851"),
                Original("ship.zip", "41c7bd7d6b251be82557c6cce9a7d5c9", DVS_URL + "7712836"),
                Original("truck.zip", "89f3922fd147d9aeff89e76a2b0b70a7", DVS_URL + "7712839"),
            ),
            note="or unpacked folders with one folder a class, of .aedat or .mat files",
        ),
    )
}


def entry(name: str) -> Entry:
    """The catalogue's entry of a name.

    Raises:
      DataError: no such dataset.
    """
    if name not in CATALOG:
        raise DataError(f"dataset {name!r} is unknown; choose one of {', '.join(CATALOG)}")
    return CATALOG[name]
