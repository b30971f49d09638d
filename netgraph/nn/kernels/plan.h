// What the kernels know about a structure. Written by `tables.py`, which must agree on every field.
#pragma once

#include <vector>

#include "vectors.h"

// A rectangle of one weight's edges that fits into the cache, with rows of statistics of its own.
struct Tile {
    int64_t stack;
    int64_t edges;       // edges of all tiles before it
    int64_t targets;     // D
    int64_t sources;     // S; in a loop the parallel edges of each target
    int64_t taps;        // its first edge among those of the stack
    int64_t stride;      // edges of the stack from one target to the next
    int64_t target_row;  // its first row of each side
    int64_t source_row;
    int64_t loop;
};

// A run of edges of one tile.
struct Piece {
    int64_t tile, first, last;
};

struct Plan {
    int64_t nodes, edges, num_tiles, num_pieces, rows, stacks, most_targets, most_sources;
    const Tile* tiles;
    const Piece* pieces;
    const int64_t* row_node;
    const float* row_edges;
    const int64_t* slot_begin;  // of each of the 2 * nodes slots among `slot_rows`, and the end
    const int64_t* slot_rows;
    const int64_t* taps;  // K of every stack
};

// Features come in blocks of W, the last filled up with zeros. The state of a tile is (block, D, S, W).
struct Shape {
    int64_t threads, hidden, blocks;
};

// Taps of every stack's edges (E, K), and the encoder for them (K + 1, blocks * W), its bias last.
struct Encoder {
    const float* const* taps;
    const float* const* weights;
};

static inline long side_rows(const Tile& t) { return t.loop ? t.targets : t.sources; }

static inline float* sheet_of(float* state, const Tile& t, long block, long blocks) {
    return state + (t.edges * blocks + block * t.targets * t.sources) * W;
}

// One of a node's four gates, (N, 4, blocks, W).
static inline vec gate(const float* gates, long node, long which, long block, long blocks) {
    return load(gates + ((node * 4 + which) * blocks + block) * W);
}
