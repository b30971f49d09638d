// Backward through `e_0 = W w + b`.
#pragma once

#include "plan.h"

// Sums of gradient times tap over the edges of one block of a tile, of N taps from `k` on.
template <int N>
static void tap_sums(const float* g, const Tile& t, const float* taps, long number, long k, float* sums, long row) {
    vec found[N] = {};
    for (long d = 0; d < t.targets; d++) {
        const float* tap = taps + (t.taps + d * t.stride) * number + k;
        for (long s = 0; s < t.sources; s++, g += W, tap += number)
            for (int i = 0; i < N; i++) found[i] += load(g) * tap[i];
    }
    for (int i = 0; i < N; i++) store(sums + (k + i) * row, found[i]);
}

// Gradient of the encoder from one block of a tile, (K + 1, blocks * W), the bias last.
static void encoder_gradient(const Plan& plan, const Shape& shape, const Encoder& encoder, const float* grad,
                             const Tile& t, long block, float* sums) {
    long number = plan.taps[t.stack], row = shape.blocks * W, k = 0;
    const float* g = sheet_of(const_cast<float*>(grad), t, block, shape.blocks);
    const float* taps = encoder.taps[t.stack];
    sums += block * W;
    for (; k + 9 <= number; k += 9) tap_sums<9>(g, t, taps, number, k, sums, row);
    for (; k + 3 <= number; k += 3) tap_sums<3>(g, t, taps, number, k, sums, row);
    for (; k < number; k++) tap_sums<1>(g, t, taps, number, k, sums, row);
    vec bias = vec{};
    for (long e = 0; e < t.targets * t.sources; e++) bias += load(g + e * W);
    store(sums + number * row, bias);
}

// Gradient of the taps of a run of edges.
static void taps_gradient(const Plan& plan, const Shape& shape, const Encoder& encoder, const float* grad,
                          const Piece& piece, float* const* grad_taps) {
    const Tile& t = plan.tiles[piece.tile];
    long number = plan.taps[t.stack], row = shape.blocks * W, step = t.targets * t.sources * W;
    const float* weights = encoder.weights[t.stack];
    for (long e = piece.first; e < piece.last; e++) {
        const float* g = grad + t.edges * shape.blocks * W + e * W;
        float* to = grad_taps[t.stack] + (t.taps + e / t.sources * t.stride + e % t.sources) * number;
        for (long k = 0; k < number; k++) {
            vec total = vec{};
            for (long b = 0; b < shape.blocks; b++) total += load(g + b * step) * load(weights + k * row + b * W);
            to[k] = sum(total);
        }
    }
}
