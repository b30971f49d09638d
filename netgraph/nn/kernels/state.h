// The state of one block of features of a tile: from taps, and through layers.
#pragma once

#include "plan.h"

constexpr long A1 = 0, A2 = 1, A3 = 2, A4 = 3;

template <int K>
static void encode_row(long edges, long taps, const float* tap, const float* weights, long ldw, float* e) {
    vec w[K], bias = load(weights + taps * ldw);
    for (int k = 0; k < K; k++) w[k] = load(weights + k * ldw);
    for (long s = 0; s < edges; s++, tap += K) {
        vec v = bias;
        for (int k = 0; k < K; k++) v += w[k] * tap[k];
        store(e + s * W, v);
    }
}

static void encode_any_row(long edges, long taps, const float* tap, const float* weights, long ldw, float* e) {
    vec bias = load(weights + taps * ldw);
    for (long s = 0; s < edges; s++, tap += taps) {
        vec v = bias;
        for (long k = 0; k < taps; k++) v += load(weights + k * ldw) * tap[k];
        store(e + s * W, v);
    }
}

// e_0 of the edges of target `d`.
static inline void encode(const Plan& plan, const Encoder& encoder, const Tile& t, long d, long block,
                          long blocks, float* e) {
    long taps = plan.taps[t.stack], ldw = blocks * W;
    const float* tap = encoder.taps[t.stack] + (t.taps + d * t.stride) * taps;
    const float* weights = encoder.weights[t.stack] + block * W;
    switch (taps) {
        case 1: return encode_row<1>(t.sources, taps, tap, weights, ldw, e);
        case 3: return encode_row<3>(t.sources, taps, tap, weights, ldw, e);
        case 9: return encode_row<9>(t.sources, taps, tap, weights, ldw, e);
        default: return encode_any_row(t.sources, taps, tap, weights, ldw, e);
    }
}

static inline vec grown(vec e, vec target3, vec target4, vec source3, vec source4) {
    return e + e * (target4 * source3 + target3 * source4);
}

// A3 and A4 of a tile's ends in some layers, together: sources (layer, S, 2), targets (layer, D, 2).
struct Growth {
    std::vector<vec> target, source;

    void gather(const Plan& plan, const Tile& t, const float* const* gates, long layers, long block, long blocks) {
        target.resize(layers * t.targets * 2);
        source.resize(t.loop ? 0 : layers * t.sources * 2);
        for (long l = 0; l < layers; l++) {
            for (long d = 0; d < t.targets; d++)
                for (long i = 0; i < 2; i++)
                    target[(l * t.targets + d) * 2 + i] =
                        gate(gates[l], plan.row_node[t.target_row + d], A3 + i, block, blocks);
            for (long s = 0; s < t.sources && !t.loop; s++)
                for (long i = 0; i < 2; i++)
                    source[(l * t.sources + s) * 2 + i] =
                        gate(gates[l], plan.row_node[t.source_row + s], A3 + i, block, blocks);
        }
    }

    void apply(const Tile& t, long layers, long d, float* e) const {
        for (long l = 0; l < layers; l++) {
            vec third = target[(l * t.targets + d) * 2], fourth = target[(l * t.targets + d) * 2 + 1];
            const vec* other = source.data() + l * t.sources * 2;
            for (long s = 0; s < t.sources; s++) {
                vec u = load(e + s * W);
                store(e + s * W, t.loop ? grown(u, third, fourth, third, fourth)
                                        : grown(u, third, fourth, other[2 * s], other[2 * s + 1]));
            }
        }
    }
};
