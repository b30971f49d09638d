// From final states to new taps: LayerNorm, a hidden layer with SiLU, and a map to taps; and back.
#pragma once

#include "matrix.h"
#include "plan.h"

constexpr long RUN = 48;  // edges worked on at once, with all features
constexpr float NORM_EPS = 1e-5f;

// Weights (F, F) as (in, out) and as (out, in), bias; of each stack those of its taps, as (F, K) and as (K, F).
// Every last dimension is filled up with zeros to whole vectors.
struct Decoder {
    const float *first, *first_back, *shift;
    const float* const* second;
    const float* const* second_back;
    const float* const* offset;
};

struct DecoderRoom {
    long width;  // blocks * W
    std::vector<vec> normal, before, mixed, back, taps;
    vec total[RUN];
    float scale[RUN];

    DecoderRoom(const Plan& plan, const Shape& shape) : width(shape.blocks * W) {
        long most = 0;
        for (long s = 0; s < plan.stacks; s++) most = plan.taps[s] > most ? plan.taps[s] : most;
        for (auto* room : {&normal, &before, &mixed, &back}) room->resize(RUN * shape.blocks);
        taps.resize(RUN * ((most + W - 1) / W));
    }
};

static inline float* floats(std::vector<vec>& v) { return reinterpret_cast<float*>(v.data()); }

static inline long padded(long count) { return (count + W - 1) / W * W; }

// Ones on the features of a block that exist.
static inline vec present(const Shape& shape, long block) {
    vec found = all(1);
    for (long i = 0; i < W; i++)
        if (block * W + i >= shape.hidden) found[i] = 0;
    return found;
}

struct Decoding {
    const Plan& plan;
    const Shape& shape;
    const Decoder& decoder;

    // LayerNorm of `count` edges from `first` on, one after the other. Block by block, as edges of one place in
    // different blocks often fall into the same set of the cache.
    void normalise(const float* state, const Tile& t, long first, long count, DecoderRoom& room) const {
        float* normal = floats(room.normal);
        vec last = present(shape, shape.blocks - 1);
        std::fill(room.total, room.total + count, vec{});
        for (long b = 0; b < shape.blocks; b++) {
            const float* at = sheet_of(const_cast<float*>(state), t, b, shape.blocks) + first * W;
            for (long m = 0; m < count; m++) {
                vec v = load(at + m * W);
                room.total[m] += v;
                store(normal + m * room.width + b * W, v);
            }
        }
        for (long m = 0; m < count; m++) {
            float* row = normal + m * room.width;
            float mean = sum(room.total[m]) / shape.hidden;
            vec squares = vec{};
            for (long b = 0; b < shape.blocks; b++) {
                vec off = load(row + b * W) - mean;
                if (b == shape.blocks - 1) off *= last;
                squares += off * off;
                store(row + b * W, off);
            }
            float scale = 1 / std::sqrt(sum(squares) / shape.hidden + NORM_EPS);
            for (long b = 0; b < shape.blocks; b++) store(row + b * W, load(row + b * W) * scale);
            room.scale[m] = scale;
        }
    }

    void hidden_layer(long count, DecoderRoom& room) const {
        float *before = floats(room.before), *mixed = floats(room.mixed);
        fill_rows(count, room.width, decoder.shift, before, room.width);
        product(count, room.width, shape.hidden, floats(room.normal), room.width, 1, decoder.first, room.width,
                before, room.width);
        for (long i = 0; i < count * room.width; i += W) {
            vec v = load(before + i);
            store(mixed + i, v * sigmoid(v));
        }
    }

    // Place of an edge of a tile among those of its stack.
    static long place(const Tile& t, long edge) {
        return t.taps + edge / t.sources * t.stride + edge % t.sources;
    }

    void forward(const float* state, const Piece& piece, float* const* taps, DecoderRoom& room) const {
        const Tile& t = plan.tiles[piece.tile];
        long number = plan.taps[t.stack], width = padded(number);
        for (long first = piece.first; first < piece.last; first += RUN) {
            long count = piece.last - first < RUN ? piece.last - first : RUN;
            normalise(state, t, first, count, room);
            hidden_layer(count, room);
            float* found = floats(room.taps);
            fill_rows(count, width, decoder.offset[t.stack], found, width);
            product(count, width, shape.hidden, floats(room.mixed), room.width, 1, decoder.second[t.stack], width,
                    found, width);
            for (long m = 0; m < count; m++)
                for (long k = 0; k < number; k++)
                    taps[t.stack][place(t, first + m) * number + k] = found[m * width + k];
        }
    }

    // Gradients of the decoder's weights are added to `sums`: first (F, F) as (out, in) and shift, then of every
    // stack second (K, F) and offset. `state` becomes its own gradient.
    void backward(float* state, const Piece& piece, const float* const* grad_taps, float* sums,
                  const int64_t* places, DecoderRoom& room) const {
        const Tile& t = plan.tiles[piece.tile];
        long number = plan.taps[t.stack], width = padded(number), row = room.width;
        float *second = sums + places[t.stack], *offset = second + number * row;
        float* shift = sums + shape.hidden * row;
        for (long first = piece.first; first < piece.last; first += RUN) {
            long count = piece.last - first < RUN ? piece.last - first : RUN;
            normalise(state, t, first, count, room);
            hidden_layer(count, room);
            float *grad = floats(room.taps), *back = floats(room.back), *before = floats(room.before);
            for (long m = 0; m < count; m++)
                for (long k = 0; k < number; k++)
                    offset[k] += grad[m * width + k] = grad_taps[t.stack][place(t, first + m) * number + k];
            product(number, row, count, grad, 1, width, floats(room.mixed), row, second, row);
            std::fill(room.back.begin(), room.back.end(), vec{});
            product(count, row, number, grad, width, 1, decoder.second_back[t.stack], row, back, row);
            for (long i = 0; i < count * row; i += W) {
                vec v = load(before + i), s = sigmoid(v), found = load(back + i) * s * (1 + v * (1 - s));
                store(before + i, found);
                store(shift + i % row, load(shift + i % row) + found);
            }
            product(shape.hidden, row, count, before, 1, row, floats(room.normal), row, sums, row);
            std::fill(room.back.begin(), room.back.end(), vec{});
            product(count, row, shape.hidden, before, row, 1, decoder.first_back, row, back, row);
            through_norm(state, t, first, count, room);
        }
    }

    void through_norm(float* state, const Tile& t, long first, long count, DecoderRoom& room) const {
        const float* normal = floats(room.normal);
        float* back = floats(room.back);
        vec last = present(shape, shape.blocks - 1);
        for (long m = 0; m < count; m++, normal += room.width, back += room.width) {
            vec total = vec{}, along = vec{};
            for (long b = 0; b < shape.blocks; b++) {
                total += load(back + b * W);
                along += load(back + b * W) * load(normal + b * W);
            }
            float mean = sum(total) / shape.hidden, slope = sum(along) / shape.hidden;
            for (long b = 0; b < shape.blocks; b++) {
                vec found = (load(back + b * W) - mean - load(normal + b * W) * slope) * room.scale[m];
                store(back + b * W, b == shape.blocks - 1 ? found * last : found);
            }
        }
        for (long b = 0; b < shape.blocks; b++) {
            float* at = sheet_of(state, t, b, shape.blocks) + first * W;
            for (long m = 0; m < count; m++) store(at + m * W, load(floats(room.back) + m * room.width + b * W));
        }
    }
};
