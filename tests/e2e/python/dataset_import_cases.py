"""Datasets in others' layouts, from disk to a trained and scored version."""
import io
import json
import tarfile

import images
import promptd_process
import workbench

WNIDS = ["n01440764", "n01443537", "n01484850"]


class DatasetImportCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.folder / "data"
        cls.items = images.tiny_dataset()

    def promptctl(self, *arguments, status=0):
        done = promptd_process.promptctl(*arguments, server=self.server.grpc)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def write(self, path, data):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def write_imagenet(self, dataset, folders):
        """`folders`: of each split of the tiny dataset, below `dataset`."""
        names = "".join(f"{wnid} {name}\n"
                        for wnid, name in zip(WNIDS, images.CLASSES))
        self.write(f"{dataset}/classnames.txt", names.encode())
        for i, (_, data, index, split) in enumerate(self.items):
            if split in folders:
                self.write(f"{dataset}/{folders[split]}/{WNIDS[index]}/"
                           f"{i}.JPEG", data)

    def test_imagenet_trains_and_its_variant_is_scored(self):
        self.write_imagenet("imagenet", {images.TRAIN: "images/train",
                                         images.TEST: "images/val"})
        self.write_imagenet("imagenet-sketch", {images.TEST: "images"})
        done = self.promptctl("dataset", "import", "--layout", "coop", "--name",
                              "ImageNet", self.root, "--as", "imagenet")
        self.assertIn('--template "a photo of a {}."', done.stderr)
        self.promptctl("dataset", "import", "--layout", "coop", "--name",
                       "ImageNet-Sketch", self.root, "--as", "sketch")
        done = self.promptctl("-o", "json", "train", "imagenet", "--shots", 2,
                              "-M", 4, "--epochs", 5, "--wait", "--template",
                              "a photo of a {}.")
        job = json.loads(done.stdout)
        done = self.promptctl("-o", "json", "eval", "imagenet:1", "sketch")
        # The same test images in both layouts: one accuracy.
        self.assertEqual(json.loads(done.stdout)["result"]["accuracy"],
                         job["result"]["accuracy"])

    def test_a_template_without_a_place_is_refused(self):
        self.bench.push("shapes", images.CLASSES, self.items)
        done = self.promptctl("train", "shapes", "--shots", 2, "--template",
                              "a photo", status=1)
        self.assertIn("{}", done.stderr)

    def test_the_split_files_order_draws_coops_shots(self):
        """A split file and a push of the same order are one dataset."""
        order = [item for item in reversed(self.items)]
        triples = {"train": [], "val": [], "test": []}
        for i, (_, data, index, split) in enumerate(order):
            self.write(f"eurosat/2750/{i}.jpg", data)
            key = "train" if split == images.TRAIN else "test"
            triples[key].append([f"{i}.jpg", index, images.CLASSES[index]])
        self.write("eurosat/split_zhou_EuroSAT.json",
                   json.dumps(triples).encode())
        done = self.promptctl("-o", "json", "dataset", "import", "--layout",
                              "coop", "--name", "EuroSAT", self.root)
        listed = [(f"2750/{i}.jpg", data, index, split)
                  for i, (_, data, index, split) in enumerate(order)]
        listed.sort(key=lambda item: item[3])
        same = self.bench.push("same", images.CLASSES, listed)
        self.assertEqual(json.loads(done.stdout)["digest"], same.digest)

    def test_python_tars_are_read(self):
        digests = set()
        for kind, name in ((tarfile.USTAR_FORMAT, "ustar"),
                           (tarfile.GNU_FORMAT, "gnu"),
                           (tarfile.PAX_FORMAT, "pax")):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
                for i, (_, data, index, _) in enumerate(self.items):
                    key = f"{'f' * 80}/{'g' * 60}/{i:06d}"
                    for ending, content in (("png", data),
                                            ("cls", str(index).encode())):
                        entry = tarfile.TarInfo(f"{key}.{ending}")
                        entry.size = len(content)
                        entry.mtime = 1.5
                        tar.addfile(entry, io.BytesIO(content))
            self.write(f"{name}/train-000.tar", out.getvalue())
            self.write("names.txt", "\n".join(images.CLASSES).encode())
            done = self.promptctl("-o", "json", "dataset", "import", "--layout",
                                  "tar", self.root / name, "--classes",
                                  self.root / "names.txt")
            dataset = self.bench.call("DatasetService", "GetDataset",
                                      name=name)
            self.assertEqual(list(dataset.class_names), images.CLASSES)
            digests.add(json.loads(done.stdout)["digest"])
        self.assertEqual(digests, {dataset.digest})

    def test_nothing_is_half_imported(self):
        self.write("csv/a.png", self.items[0][1])
        self.write("csv/list.csv", b"file_name,label\na.png,x\nb.png,y\n")
        done = self.promptctl("dataset", "import", "--layout", "csv",
                              self.root / "csv/list.csv", "--as", "half",
                              status=1)
        self.assertIn("list.csv: line 3: b.png is not there", done.stderr)
        self.assert_refused("NOT_FOUND", "DATASET_NOT_FOUND", self.bench.call,
                            "DatasetService", "GetDataset", name="half")
