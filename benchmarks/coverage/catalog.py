"""The networks that are tried: other people's, small variants, random weights.

A name is `library/model`. What is built has random weights, so no download is needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Built = tuple[nn.Module, Any]

# One small variant of each of timm's model families, which are its modules.
TIMM = """
beit_base_patch16_224 halonet_h1 mobileone_s0 cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32
convnext_atto cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny
deepseek_vit_412m deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1
efficientformerv2_s0 efficientnet_b0 efficientvim_m1 efficientvit_b0 efficientvit_m0
eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m
ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 hieradet_small hrnet_w18_small iformer_t
inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s lowformer_b0
mambaout_femto coatnet_pico_rw_224 poolformerv2_s12 gmlp_ti16_224 mobilenetv3_small_050 mobilenetv5_base
mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge nest_tiny nextvit_small
nf_regnet_b0 pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050
repvit_m1 res2next50 resnest14d resnet18 resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18
sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224
swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m
twins_svt_small vgg11 visformer_tiny vit_tiny_patch16_224 vit_tiny_r_s16_p8_224
vit_relpos_small_patch16_224 samvit_base_patch16_224 vitamin_small_224 volo_d1_224 ese_vovnet19b_slim_dw
legacy_xception xception41p xcit_nano_12_p8_224
""".split()  # noqa: SIM905 (a list of a hundred lines reads worse)

# All of torchvision's networks but the quantised ones, the same in integers, and the detectors: they
# end in non-maximum suppression, as many boxes as the data ask for, which no export can write down. Of those,
# what is before the heads: the backbone with its pyramid.
TORCHVISION = """
alexnet convnext_base convnext_large convnext_small convnext_tiny deeplabv3_mobilenet_v3_large
deeplabv3_resnet101 deeplabv3_resnet50 densenet121 densenet161 densenet169 densenet201 efficientnet_b0
efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s fcn_resnet101 fcn_resnet50 googlenet
inception_v3 lraspp_mobilenet_v3_large maxvit_t mc3_18 mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
mobilenet_v2 mobilenet_v3_large mobilenet_v3_small mvit_v1_b mvit_v2_s r2plus1d_18 r3d_18 raft_large
raft_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf
regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d
resnext50_32x4d s3d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0
squeezenet1_0 squeezenet1_1 swin3d_b swin3d_s swin3d_t swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t
vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32
wide_resnet101_2 wide_resnet50_2 fasterrcnn_mobilenet_v3_large_fpn.backbone fasterrcnn_resnet50_fpn.backbone
fcos_resnet50_fpn.backbone retinanet_resnet50_fpn_v2.backbone ssd300_vgg16.backbone
ssdlite320_mobilenet_v3_large.backbone
""".split()  # noqa: SIM905

# Too large to be tried beside another.
LARGE = ("torchvision/regnet_y_128gf", "torchvision/vit_h_14", "torchvision/vit_l_16", "torchvision/vit_l_32")

# Their own sizes would take minutes a pass on two cores.
TIMM_SIZES = {
    "csatv2": 256,
    "deepseek_vit_412m": 98,
    "gemma4_vit_167m": 96,
    "naflexvit_base_patch16_parfac_gap": 224,
    "qwen3_vit_88m": 128,
}
TIMM_OPTIONS: dict[str, dict[str, Any]] = {
    "deepseek_vit_412m": {"depth": 4},
    "samvit_base_patch16_224": {"depth": 4},
}


def names(libraries: tuple[str, ...] = ("timm", "torchvision", "transformers")) -> list[str]:
    """Every network of some libraries."""
    found = []
    if "timm" in libraries:
        found += [f"timm/{n}" for n in TIMM]
    if "torchvision" in libraries:
        found += [f"torchvision/{n}" for n in TORCHVISION]
    if "transformers" in libraries:
        _torchvision()
        from benchmarks.coverage.transformers_ import CONFIGURATIONS

        found += [f"transformers/{n}" for n in CONFIGURATIONS]
    return found


def build(name: str) -> Built:
    """A network with random weights in evaluation mode, and example inputs for it."""
    torch.manual_seed(0)
    library, _, model = name.partition("/")
    module, inputs = {"timm": _timm, "torchvision": _torchvision_model, "transformers": _transformers}[
        library
    ](model)
    module.eval()
    _disturb(module)
    return module, inputs


def _disturb(module: nn.Module) -> None:
    """Fresh networks hold many equal numbers (scales of one, biases of zero), which would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            statistic = name.endswith(("running_mean", "running_var"))
            if not tensor.is_floating_point() or not (isinstance(tensor, nn.Parameter) or statistic):
                continue
            noise = torch.rand(tensor.shape, generator=generator).to(tensor.dtype)
            if name.endswith("running_var"):
                tensor.mul_(0.8 + 0.4 * noise)
            elif tensor.dim() < 2 or float(tensor.std()) == 0.0:
                tensor.add_(0.2 * (noise - 0.5))


def _timm(model: str) -> Built:
    _torchvision()
    import timm

    options = dict(TIMM_OPTIONS.get(model, {}))
    size = TIMM_SIZES.get(model)
    try:
        module = timm.create_model(model, **options, **({"img_size": size} if size else {}))
    except TypeError:
        module = timm.create_model(model, **options)
    shape = module.pretrained_cfg["input_size"]
    shape = (shape[0], size, size) if size else shape
    return module, torch.randn(1, *shape)


def _torchvision() -> None:
    """torchvision's wheel looks for operators that a build of torch without CUDA lacks."""
    with contextlib.suppress(RuntimeError):
        import torchvision

        return
    import sys

    for name in [n for n in sys.modules if n.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEEP.append(library)
    import torchvision  # noqa: F401


_KEEP: list[Any] = []


def _torchvision_model(model: str) -> Built:
    _torchvision()
    from torchvision import models

    options: dict[str, Any] = {"weights": None}
    model, _, part = model.partition(".")
    builder = models.get_model_builder(model)
    module = builder(**options, **({"weights_backbone": None} if _has_backbone(builder) else {}))
    if part:
        return module.get_submodule(part), torch.randn(1, 3, 320, 320)
    group = builder.__module__
    if "video" in group:
        frames = 16 if "mvit" in model or "swin" in model or "s3d" in model else 8
        size = 224 if "mvit" in model or "s3d" in model else 112
        return module, torch.randn(1, 3, frames, size, size)
    if "optical_flow" in group:
        return module, (torch.randn(1, 3, 128, 128), torch.randn(1, 3, 128, 128))
    size = 299 if model == "inception_v3" else 224
    return module, torch.randn(1, 3, size, size)


def _has_backbone(builder: Callable[..., nn.Module]) -> bool:
    import inspect

    return "weights_backbone" in inspect.signature(builder).parameters


def _transformers(model: str) -> Built:
    _torchvision()  # transformers imports it if it is there
    from benchmarks.coverage.transformers_ import CONFIGURATIONS

    return CONFIGURATIONS[model]()
