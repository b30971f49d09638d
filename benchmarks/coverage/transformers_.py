"""Tiny random configurations of Hugging Face architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

Built = tuple[nn.Module, Any]

# Sizes are all different, so that a channel cannot be taken for another by its number.
_BERT = {
    "vocab_size": 101,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 88,
    "max_position_embeddings": 40,
}
_LLAMA = {
    "vocab_size": 101,
    "hidden_size": 64,
    "intermediate_size": 88,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_VISION = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 88,
    "image_size": 32,
    "patch_size": 8,
}


def _tokens(length: int = 12) -> Tensor:
    return torch.randint(1, 100, (2, length))


def _language(model: str, config: str, **options: Any) -> Callable[[], Built]:
    def make() -> Built:
        configuration = getattr(hf, config)(**options)
        if hasattr(configuration, "use_cache"):
            configuration.use_cache = False
        return getattr(hf, model)(configuration), {"input_ids": _tokens()}

    return make


def _images(model: str, config: str, size: int = 32, **options: Any) -> Callable[[], Built]:
    def make() -> Built:
        module = getattr(hf, model)(getattr(hf, config)(**options))
        return module, {"pixel_values": torch.randn(2, 3, size, size)}

    return make


def _encoder_decoder(model: str, config: str, **options: Any) -> Callable[[], Built]:
    def make() -> Built:
        configuration = getattr(hf, config)(**options)
        configuration.use_cache = False
        return getattr(hf, model)(configuration), {"input_ids": _tokens(), "decoder_input_ids": _tokens(7)}

    return make


def _whisper() -> Built:
    configuration = hf.WhisperConfig(
        vocab_size=101,
        d_model=48,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=88,
        decoder_ffn_dim=88,
        num_mel_bins=20,
        max_source_positions=16,
        max_target_positions=24,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        use_cache=False,
    )
    return hf.WhisperForConditionalGeneration(configuration), {
        "input_features": torch.randn(2, 20, 32),
        "decoder_input_ids": _tokens(7),
    }


def _clip() -> Built:
    configuration = hf.CLIPConfig(
        text_config={**_BERT, "projection_dim": 24, "eos_token_id": 100},
        vision_config={**_VISION, "projection_dim": 24},
        projection_dim=24,
    )
    return hf.CLIPModel(configuration), {
        "input_ids": _tokens(),
        "pixel_values": torch.randn(2, 3, 32, 32),
    }


def _wav2vec2() -> Built:
    configuration = hf.Wav2Vec2Config(
        vocab_size=32,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=88,
        conv_dim=(32, 32, 32),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
        apply_spec_augment=False,
    )
    return hf.Wav2Vec2ForCTC(configuration), {"input_values": torch.randn(2, 2000)}


_T5 = {
    "vocab_size": 101,
    "d_model": 48,
    "d_kv": 12,
    "d_ff": 88,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_BART = {
    "vocab_size": 101,
    "d_model": 48,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 88,
    "decoder_ffn_dim": 88,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}
_SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 24,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}

CONFIGURATIONS: dict[str, Callable[[], Built]] = {
    "bert": _language("BertForMaskedLM", "BertConfig", **_BERT),
    "roberta": _language("RobertaForMaskedLM", "RobertaConfig", **_BERT),
    "distilbert": _language(
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        vocab_size=101,
        dim=48,
        n_layers=2,
        n_heads=4,
        hidden_dim=88,
        max_position_embeddings=40,
    ),
    "albert": _language("AlbertForMaskedLM", "AlbertConfig", **_BERT, embedding_size=24),
    "electra": _language("ElectraForMaskedLM", "ElectraConfig", **_BERT, embedding_size=24),
    "deberta": _language(
        "DebertaForMaskedLM", "DebertaConfig", **_BERT, relative_attention=True, pos_att_type=["p2c", "c2p"]
    ),
    "deberta-v2": _language(
        "DebertaV2ForMaskedLM",
        "DebertaV2Config",
        **_BERT,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_buckets=8,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
    ),
    "mobilebert": _language(
        "MobileBertForMaskedLM",
        "MobileBertConfig",
        **_BERT,
        embedding_size=24,
        intra_bottleneck_size=32,
        true_hidden_size=32,
        num_feedforward_networks=2,
    ),
    "gpt2": _language(
        "GPT2LMHeadModel", "GPT2Config", vocab_size=101, n_embd=48, n_layer=2, n_head=4, n_positions=40
    ),
    "gpt-neox": _language("GPTNeoXForCausalLM", "GPTNeoXConfig", **_BERT),
    "gpt-j": _language(
        "GPTJForCausalLM",
        "GPTJConfig",
        vocab_size=101,
        n_embd=48,
        n_layer=2,
        n_head=4,
        n_positions=40,
        rotary_dim=8,
    ),
    "bloom": _language(
        "BloomForCausalLM", "BloomConfig", vocab_size=101, hidden_size=48, n_layer=2, n_head=4
    ),
    "falcon": _language(
        "FalconForCausalLM",
        "FalconConfig",
        vocab_size=101,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        multi_query=True,
    ),
    "opt": _language(
        "OPTForCausalLM",
        "OPTConfig",
        vocab_size=101,
        hidden_size=48,
        num_hidden_layers=2,
        ffn_dim=88,
        num_attention_heads=4,
        max_position_embeddings=40,
        word_embed_proj_dim=48,
    ),
    "llama": _language("LlamaForCausalLM", "LlamaConfig", **_LLAMA),
    "mistral": _language("MistralForCausalLM", "MistralConfig", **_LLAMA, sliding_window=8),
    "qwen2": _language("Qwen2ForCausalLM", "Qwen2Config", **_LLAMA),
    "qwen3": _language("Qwen3ForCausalLM", "Qwen3Config", **_LLAMA, head_dim=16),
    "gemma": _language("GemmaForCausalLM", "GemmaConfig", **_LLAMA, head_dim=16),
    "gemma2": _language("Gemma2ForCausalLM", "Gemma2Config", **_LLAMA, head_dim=16, sliding_window=8),
    "phi": _language("PhiForCausalLM", "PhiConfig", **_LLAMA),
    "phi3": _language("Phi3ForCausalLM", "Phi3Config", **_LLAMA),
    "mixtral": _language(
        "MixtralForCausalLM", "MixtralConfig", **_LLAMA, num_local_experts=4, num_experts_per_tok=2
    ),
    "mamba": _language(
        "MambaForCausalLM", "MambaConfig", vocab_size=101, hidden_size=48, num_hidden_layers=2
    ),
    "t5": _encoder_decoder("T5ForConditionalGeneration", "T5Config", **_T5),
    "mt5": _encoder_decoder("MT5ForConditionalGeneration", "MT5Config", **_T5),
    "bart": _encoder_decoder("BartForConditionalGeneration", "BartConfig", **_BART),
    "whisper": _whisper,
    "vit": _images("ViTForImageClassification", "ViTConfig", **_VISION),
    "deit": _images("DeiTForImageClassification", "DeiTConfig", **_VISION),
    "dinov2": _images("Dinov2ForImageClassification", "Dinov2Config", **_VISION),
    "beit": _images("BeitForImageClassification", "BeitConfig", **_VISION, use_relative_position_bias=True),
    "swin": _images("SwinForImageClassification", "SwinConfig", **_SWIN),
    "swinv2": _images("Swinv2ForImageClassification", "Swinv2Config", **_SWIN),
    "convnext": _images(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        hidden_sizes=[12, 24, 40, 56],
        depths=[1, 1, 2, 1],
        image_size=64,
        size=64,
    ),
    "segformer": _images(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        size=64,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=28,
    ),
    "resnet": _images(
        "ResNetForImageClassification",
        "ResNetConfig",
        size=64,
        embedding_size=16,
        hidden_sizes=[32, 48, 64, 80],
        depths=[1, 1, 2, 1],
    ),
    "clip": _clip,
    "wav2vec2": _wav2vec2,
}
