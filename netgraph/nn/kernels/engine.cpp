// The block engine for float32 on a CPU: what `tables.py` and `engine.py` call. Plain C++17 behind a C interface.
//
// All work is cut into tiles and blocks of features (see plan.h); every result but the decoder's gradient, which
// is summed per thread, is the same for any number of threads.

#include <algorithm>

#include "aggregate.h"
#include "decode.h"
#include "encode.h"
#include "gradient.h"

#if defined(_OPENMP)
#include <omp.h>
static long worker() { return omp_get_thread_num(); }
#else
static long worker() { return 0; }
#endif

extern "C" {

long netgraph_width() { return W; }

void netgraph_silu(const float* values, float* found, long count) {
    for (long i = 0; i < count; i += W) {
        vec v = load(values + i);
        store(found + i, v * sigmoid(v));
    }
}

void netgraph_forward(const Plan* plan, const Shape* shape, const Encoder* encoder, bool first,
                      const float* gates, float* state, float* stats, float* messages) {
    TilePass pass{*plan, *shape, first ? encoder : nullptr, gates, state, stats};
#pragma omp parallel num_threads(shape->threads)
    {
        PassRoom room(*plan);
#pragma omp for schedule(dynamic, 4)
        for (long i = 0; i < plan->num_tiles * shape->blocks; i++)
            pass.run(plan->tiles[i / shape->blocks], i % shape->blocks, room);
#pragma omp for schedule(static)
        for (long node = 0; node < plan->nodes; node++)
            aggregate_node(*plan, *shape, stats, gates, node, messages);
    }
}

void netgraph_backward(const Plan* plan, const Shape* shape, const Encoder* encoder, long layer,
                       const float* const* gates, const float* stats, const float* grad_messages, float* grad_stats,
                       float* grad_rows, float* grad_state, float* grad_gates) {
    TileGradient gradient{*plan, *shape, *encoder, gates, layer, stats, grad_stats, grad_state, grad_rows};
#pragma omp parallel num_threads(shape->threads)
    {
        GradientRoom room(*plan);
#pragma omp for schedule(static)
        for (long node = 0; node < plan->nodes; node++)
            aggregate_node_gradient(*plan, *shape, stats, gates[layer], grad_messages, node, grad_stats, grad_gates);
#pragma omp for schedule(dynamic, 1)
        for (long i = 0; i < plan->num_tiles * shape->blocks; i++)
            gradient.run(plan->tiles[i / shape->blocks], i % shape->blocks, room);
#pragma omp for schedule(static)
        for (long node = 0; node < plan->nodes; node++)
            collect_node_gradient(*plan, *shape, grad_rows, node, grad_gates);
    }
}

// The state as layer `layers` meets it.
void netgraph_rebuild(const Plan* plan, const Shape* shape, const Encoder* encoder, long layers,
                      const float* const* gates, float* state) {
#pragma omp parallel num_threads(shape->threads)
    {
        Growth growth;
#pragma omp for schedule(dynamic, 1)
        for (long i = 0; i < plan->num_tiles * shape->blocks; i++) {
            const Tile& t = plan->tiles[i / shape->blocks];
            long block = i % shape->blocks;
            growth.gather(*plan, t, gates, layers, block, shape->blocks);
            float* e = sheet_of(state, t, block, shape->blocks);
            for (long d = 0; d < t.targets; d++) {
                encode(*plan, *encoder, t, d, block, shape->blocks, e + d * t.sources * W);
                growth.apply(t, layers, d, e + d * t.sources * W);
            }
        }
    }
}

void netgraph_decode(const Plan* plan, const Shape* shape, const Decoder* decoder, const float* state,
                     float* const* taps) {
    Decoding decoding{*plan, *shape, *decoder};
#pragma omp parallel num_threads(shape->threads)
    {
        DecoderRoom room(*plan, *shape);
#pragma omp for schedule(dynamic, 1)
        for (long i = 0; i < plan->num_pieces; i++)
            decoding.forward(state, plan->pieces[i], taps, room);
    }
}

// `sums` holds `size` zeros for each thread; `places` says where in them the part of a stack begins.
void netgraph_decode_backward(const Plan* plan, const Shape* shape, const Decoder* decoder, float* state,
                              const float* const* grad_taps, float* sums, long size, const int64_t* places) {
    Decoding decoding{*plan, *shape, *decoder};
#pragma omp parallel num_threads(shape->threads)
    {
        DecoderRoom room(*plan, *shape);
#pragma omp for schedule(static)
        for (long i = 0; i < plan->num_pieces; i++)
            decoding.backward(state, plan->pieces[i], grad_taps, sums + worker() * size, places, room);
    }
}

// Gradients of the encoder as each tile has them, (tiles, most taps + 1, blocks * W); of the taps where wanted.
void netgraph_encode_backward(const Plan* plan, const Shape* shape, const Encoder* encoder, const float* grad_state,
                              float* sums, long size, float* const* grad_taps) {
#pragma omp parallel num_threads(shape->threads)
    {
#pragma omp for schedule(dynamic, 1)
        for (long i = 0; i < plan->num_tiles * shape->blocks; i++) {
            long tile = i / shape->blocks;
            encoder_gradient(*plan, *shape, *encoder, grad_state, plan->tiles[tile], i % shape->blocks,
                             sums + tile * size);
        }
        if (grad_taps) {
#pragma omp for schedule(dynamic, 1)
            for (long i = 0; i < plan->num_pieces; i++)
                taps_gradient(*plan, *shape, *encoder, grad_state, plan->pieces[i], grad_taps);
        }
    }
}
}
