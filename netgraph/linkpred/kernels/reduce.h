// How the messages of one target become a row, and how its gradient becomes theirs.
#pragma once

#include "message.h"

enum Aggregate : int64_t { TOTAL, MEAN, HIGHEST, LOWEST, STATISTICS };

// Variances below count as this one; see `bellman_ford.py`.
constexpr float LEAST_VARIANCE = 1e-6f;

// The edges of one target and the tables that they look into.
struct Walk {
    long first, last, end;  // of this target; of all
    const int32_t* source;
    const int32_t* kind;
    const float* weight;
    const float* states;
    const float* relations;
};

constexpr long AHEAD = 12;

template <class Message>
static inline const float* state_of(const Walk& walk, long e) {
    return walk.states + long(walk.source[e]) * Message::WIDTH;
}

template <class Message>
static inline const float* relation_of(const Walk& walk, long e) {
    return walk.relations + (walk.kind ? long(walk.kind[e]) * Message::WIDTH : 0);
}

template <class Message, bool WEIGHTED>
static inline Row message_of(const Walk& walk, long e) {
    Row m = Message::of(state_of<Message>(walk, e), relation_of<Message>(walk, e));
    return WEIGHTED ? m * walk.weight[e] : m;
}

template <class Message>
static inline void call_ahead(const Walk& walk, long e, const float* table) {
    if (e + AHEAD < walk.end) __builtin_prefetch(table + long(walk.source[e + AHEAD]) * Message::WIDTH, 0, 3);
}

// An extreme under way; the boundary, -1, stands first, and the first of equals wins.
template <bool UP>
struct Extreme {
    Row value;
    Index winner;

    explicit Extreme(Row boundary) : value(boundary), winner(nobody()) {}

    void meet(Row m, int32_t e) {
        for (long i = 0; i < PARTS; i++) {
            ivec better = UP ? m.part[i] > value.part[i] : m.part[i] < value.part[i];
            value.part[i] = better ? m.part[i] : value.part[i];
            winner.part[i] = better ? e - ivec{} : winner.part[i];
        }
    }

    // The first NaN wins over all, as it does in torch.
    void meet_nan(Row m, int32_t e) {
        for (long i = 0; i < PARTS; i++) {
            ivec better = (m.part[i] != m.part[i]) & (value.part[i] == value.part[i]);
            value.part[i] = better ? m.part[i] : value.part[i];
            winner.part[i] = better ? e - ivec{} : winner.part[i];
        }
    }
};

static inline bool has_nan(Row a) {
    bool found = false;
    for (long i = 0; i < PARTS; i++) found |= any(a.part[i] != a.part[i]);
    return found;
}

template <class Message, bool WEIGHTED>
static inline Row total_of(const Walk& walk, Row total) {
    for (long e = walk.first; e < walk.last; e++) {
        call_ahead<Message>(walk, e, walk.states);
        total = total + message_of<Message, WEIGHTED>(walk, e);
    }
    return total;
}

template <class Message, bool WEIGHTED, bool UP>
static inline Extreme<UP> extreme_of(const Walk& walk, Row boundary) {
    Extreme<UP> found(boundary);
    Row total = boundary;
    for (long e = walk.first; e < walk.last; e++) {
        call_ahead<Message>(walk, e, walk.states);
        Row m = message_of<Message, WEIGHTED>(walk, e);
        found.meet(m, e);
        total = total + m;
    }
    if (has_nan(total))
        for (long e = walk.first; e < walk.last; e++) found.meet_nan(message_of<Message, WEIGHTED>(walk, e), e);
    return found;
}

struct Statistics {
    Row mean;
    Extreme<true> highest;
    Extreme<false> lowest;
    Row deviation;
};

// Deviations are taken from the mean in a second visit, when the rows are near: nothing cancels.
template <class Message, bool WEIGHTED>
static inline Statistics statistics_of(const Walk& walk, Row boundary) {
    Extreme<true> highest(boundary);
    Extreme<false> lowest(boundary);
    Row total = boundary;
    for (long e = walk.first; e < walk.last; e++) {
        call_ahead<Message>(walk, e, walk.states);
        Row m = message_of<Message, WEIGHTED>(walk, e);
        total = total + m;
        highest.meet(m, e);
        lowest.meet(m, e);
    }
    if (has_nan(total))
        for (long e = walk.first; e < walk.last; e++) {
            Row m = message_of<Message, WEIGHTED>(walk, e);
            highest.meet_nan(m, e);
            lowest.meet_nan(m, e);
        }
    float share = 1.0f / float(walk.last - walk.first + 1);
    Row mean = total * share, off = boundary - mean, squares = off * off;
    for (long e = walk.first; e < walk.last; e++) {
        off = message_of<Message, WEIGHTED>(walk, e) - mean;
        squares = squares + off * off;
    }
    return {mean, highest, lowest, root(at_least(squares * share, LEAST_VARIANCE))};
}

// What the gradient of any message m of a target is made of: even + slope (m - mean), and more for the winners.
struct Slope {
    Row even, slope, mean, high, low;
    Index highest, lowest;
};

template <int KIND>
static inline Row gradient_of(const Slope& s, Row m, int32_t e) {
    Row grad = zeros();
    if (KIND == TOTAL || KIND == STATISTICS) grad = s.even;
    if (KIND == STATISTICS) grad = grad + s.slope * (m - s.mean);
    if (KIND == HIGHEST || KIND == STATISTICS) grad = grad + where_equal(s.highest, e, s.high);
    if (KIND == STATISTICS) grad = grad + where_equal(s.lowest, e, s.low);
    return grad;
}
