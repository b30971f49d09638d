// Messages of rows. A rotation needs each row twice, once with its halves exchanged: so no lane ever moves.
#pragma once

#include "rows.h"

struct Product {
    static constexpr long WIDTH = LANES;
    static Row of(const float* h, const float* w) { return read(h) * read(w); }
    static void back(Row grad, const float* h, const float* w, float* __restrict gh, float* __restrict gw) {
        add(gh, grad * read(w));
        add(gw, grad * read(h));
    }
};

struct Sum {
    static constexpr long WIDTH = LANES;
    static Row of(const float* h, const float* w) { return read(h) + read(w); }
    static void back(Row grad, const float*, const float*, float* __restrict gh, float* __restrict gw) {
        add(gh, grad);
        add(gw, grad);
    }
};

// Tables: (h, h exchanged), (re | re, -im | im).
struct Rotation {
    static constexpr long WIDTH = 2 * LANES;
    static Row of(const float* h, const float* w) { return read(h) * read(w) + read(h + LANES) * read(w + LANES); }
    static void back(Row grad, const float* h, const float* w, float* __restrict gh, float* __restrict gw) {
        add(gh, grad * read(w));
        add(gh + LANES, grad * read(w + LANES));
        add(gw, grad * read(h));
        add(gw + LANES, grad * read(h + LANES));
    }
};

constexpr long HALF = LANES / 2;

template <class Message>
constexpr bool IN_PAIRS = Message::WIDTH > LANES;

// The columns of a block, of all rows (batch, features) that lie `step` apart.
template <class Message>
static void pack_states(const Lanes& lanes, const float* from, long rows, long step, long stride, float* table) {
    for (long v = 0; v < rows; v++) {
        float* row = table + v * Message::WIDTH;
        lanes.fetch(from + v * step, stride, row);
        if (IN_PAIRS<Message>)
            for (long i = 0; i < LANES; i++) row[LANES + i] = row[(i + HALF) % LANES];
    }
}

template <class Message>
static void pack_relations(const Lanes& lanes, const float* from, long rows, long step, long stride, float* table) {
    pack_states<Message>(lanes, from, rows, step, stride, table);
    if (IN_PAIRS<Message>)
        for (long r = 0; r < rows; r++)
            for (long i = 0; i < HALF; i++) {
                float* row = table + r * Message::WIDTH;
                float re = row[i], im = row[HALF + i];
                row[HALF + i] = re;
                row[LANES + i] = -im;
                row[LANES + HALF + i] = im;
            }
}

// Gradients back to where the columns came from.
template <class Message>
static void unpack_states(const Lanes& lanes, float* table, long rows, long step, long stride, float* to) {
    for (long v = 0; v < rows; v++) {
        float* row = table + v * Message::WIDTH;
        if (IN_PAIRS<Message>)
            for (long i = 0; i < LANES; i++) row[i] += row[LANES + (i + HALF) % LANES];
        lanes.put(to + v * step, stride, row);
    }
}

template <class Message>
static void unpack_relations(const Lanes& lanes, float* table, long rows, long step, long stride, float* to) {
    for (long r = 0; r < rows; r++) {
        float* row = table + r * Message::WIDTH;
        if (IN_PAIRS<Message>)
            for (long i = 0; i < HALF; i++) {
                row[i] += row[HALF + i];
                row[HALF + i] = row[LANES + HALF + i] - row[LANES + i];
            }
        lanes.put(to + r * step, stride, row);
    }
}
