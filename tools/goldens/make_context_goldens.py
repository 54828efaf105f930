"""Learned contexts as other programs write them: CoOp's checkpoints with all
that Dassl's trainer puts beside the parameter, numpy's archives, safetensors;
and a few files that are to be refused.

usage: make_context_goldens.py OUT_DIR

The values are (0, 1, 2, ...) / 16 - 1, exact in every type. OUT_DIR/evil are
to be refused.
"""

import shutil
import sys
from pathlib import Path

import numpy
import torch
from safetensors.numpy import save_file

CLASSES, TOKENS, WIDTH, LENGTH = 3, 4, 8, 9


def values(*shape):
    count = int(numpy.prod(shape))
    return (numpy.arange(count, dtype=numpy.float32) / 16 - 1).reshape(shape)


class WarmUp(torch.optim.lr_scheduler.LRScheduler):
    """As Dassl's ConstantWarmupScheduler: another schedule takes over after
    the first epochs. Its state holds that schedule, and so the optimizer."""

    def __init__(self, optimizer, successor, warmup_epoch, cons_lr):
        self.successor = successor
        self.warmup_epoch = warmup_epoch
        self.cons_lr = cons_lr
        super().__init__(optimizer)

    def get_lr(self):
        if self.last_epoch >= self.warmup_epoch:
            return self.successor.get_last_lr()
        return [self.cons_lr for _ in self.base_lrs]

    def step(self, epoch=None):
        if self.last_epoch >= self.warmup_epoch:
            self.successor.step(epoch)
        super().step(epoch)


def checkpoint(context, epochs, result, multi_step=False):
    """What Dassl's save_checkpoint gets from CoOp's trainer."""
    parameter = torch.nn.Parameter(context.clone())
    optimizer = torch.optim.SGD([parameter], lr=0.002, momentum=0.9,
                                weight_decay=5e-4)
    after = (torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
             if multi_step else
             torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs))
    schedule = WarmUp(optimizer, after, 1, 1e-5)
    for _ in range(3):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        schedule.step()
    state = torch.nn.Module()
    state.ctx = torch.nn.Parameter(context)
    state.register_buffer(
        "token_prefix", torch.ones(CLASSES, 1, WIDTH, dtype=context.dtype))
    state.register_buffer(
        "token_suffix",
        torch.ones(CLASSES, LENGTH - 1 - TOKENS, WIDTH, dtype=context.dtype))
    return {"state_dict": state.state_dict(), "epoch": epochs,
            "optimizer": optimizer.state_dict(),
            "scheduler": schedule.state_dict(), "val_result": result}


def save_evil(folder):
    folder.mkdir()
    numpy.savez(folder / "fortran.npz",
                ctx=numpy.asfortranarray(values(TOKENS, WIDTH)))
    numpy.savez(folder / "big_endian.npz",
                ctx=values(TOKENS, WIDTH).astype(">f4"))
    numpy.savez(folder / "object.npz",
                ctx=numpy.array([[print]], dtype=object))
    numpy.savez(folder / "structure.npz",
                ctx=numpy.zeros((2, 2), dtype=[("a", "<f4"), ("b", "<f4")]))
    numpy.savez(folder / "whole.npz", ctx=numpy.zeros((2, 2), dtype=int))
    numpy.savez(folder / "empty.npz", ctx=values(0, WIDTH))
    numpy.savez(folder / "vector.npz", ctx=values(WIDTH))
    numpy.savez(folder / "other_name.npz", context=values(TOKENS, WIDTH))
    bad = values(TOKENS, WIDTH)
    bad[1, 2] = numpy.nan
    numpy.savez(folder / "nan.npz", ctx=bad)
    numpy.savez(folder / "overflow.npz",
                ctx=numpy.full((TOKENS, WIDTH), 1e300))
    torch.save(checkpoint(torch.from_numpy(values(TOKENS, WIDTH)), 50, None),
               folder / "legacy.pth.tar",
               _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {"weight": torch.ones(2, 2)}},
               folder / "no_context.pth.tar")


def main(out):
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    unified, own = values(TOKENS, WIDTH), values(CLASSES, TOKENS, WIDTH)
    torch.save(checkpoint(torch.from_numpy(unified), 50, None),
               out / "model.pth.tar-50")
    torch.save(checkpoint(torch.from_numpy(unified).half(), 7, 81.25),
               out / "half.pth.tar")
    torch.save(checkpoint(torch.from_numpy(own).bfloat16(), 200, None, True),
               out / "own.pth.tar")
    torch.save({"state_dict": {"prompt_learner.ctx":
                               torch.from_numpy(unified)}},
               out / "whole_model.pth.tar")
    numpy.savez(out / "ctx.npz", ctx=unified)
    numpy.savez(out / "beside.npz", other=numpy.arange(3), ctx=own)
    numpy.savez_compressed(out / "half.npz", ctx=unified.astype("float16"))
    numpy.savez_compressed(out / "double.npz", ctx=own.astype("float64"))
    numpy.save(out / "ctx.npy", unified)
    save_file({"ctx": unified.astype("float16")}, out / "ctx.safetensors")
    for path in out.iterdir():
        if path.is_file():
            path.chmod(0o644)
    save_evil(out / "evil")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
