// One layer's work on a tile, forward: the statistics of its rows and columns, and its next state.
#pragma once

#include "state.h"

// Statistics of a row under way.
struct Running {
    vec sum = vec{}, highest = all(-INF), lowest = all(INF);

    void add(vec u) {
        sum += u;
        highest = higher(highest, u);
        lowest = lower(lowest, u);
    }
};

// Gates of a row's node, and its mean and squared deviations.
struct Spread {
    vec first, third, fourth, mean, squares;
};

// What a worker holds for the columns of one tile, reused from tile to tile.
struct PassRoom {
    std::vector<vec> first;
    std::vector<Running> running;
    std::vector<Spread> spread;

    explicit PassRoom(const Plan& plan)
        : first(plan.most_sources), running(plan.most_sources), spread(plan.most_sources) {}
};

// Statistics of row `r`, (R, blocks, 4, W).
static inline float* stats_of(float* stats, long r, long block, long blocks) {
    return stats + (r * blocks + block) * 4 * W;
}

static inline void write_stats(float* to, vec mean, vec squares, vec highest, vec lowest) {
    store(to, mean);
    store(to + W, squares);
    store(to + 2 * W, highest);
    store(to + 3 * W, lowest);
}

// An extreme forgets NaN, a sum does not: where that is NaN, look again.
template <class Message>
static inline void recall_nan(Running& found, long count, Message message) {
    if (!any(found.sum != found.sum)) return;
    vec nan = vec{};
    for (long i = 0; i < count; i++) {
        vec u = message(i);
        nan = u != u ? u : nan;
    }
    found.highest = nan != nan ? nan : found.highest;
    found.lowest = nan != nan ? nan : found.lowest;
}

// Loops work on copies, which the compiler can keep in registers.
template <int R>
static inline void reduce_rows(const float* e, long sources, const vec (&own)[R], const vec* __restrict first,
                               Running* __restrict columns, Running (&rows)[R]) {
    Running found[R];
    for (long s = 0; s < sources; s++) {
        vec other = first[s];
        Running column = columns[s];
        for (int r = 0; r < R; r++) {
            vec state = load(e + (r * sources + s) * W);
            found[r].add(state * other);
            column.add(state * own[r]);
        }
        columns[s] = column;
    }
    for (int r = 0; r < R; r++) rows[r] = found[r];
}

// While this works on what is near, it calls what lies `ahead`, as the next tile probably will want it.
template <int R>
static inline void spread_and_grow_rows(float* __restrict e, long sources, long ahead, Spread (&rows)[R],
                                        Spread* __restrict columns) {
    constexpr long line = W < 16 ? 16 / W : 1;
    Spread own[R];
    for (int r = 0; r < R; r++) own[r] = rows[r];
    for (long s = 0; s < sources; s++) {
        Spread column = columns[s];
        for (int r = 0; r < R; r++) {
            float* at = e + (r * sources + s) * W;
            if (s % line == 0) __builtin_prefetch(at + ahead, 0, 3);
            vec state = load(at);
            vec along = state * column.first - own[r].mean, against = state * own[r].first - column.mean;
            own[r].squares += along * along;
            column.squares += against * against;
            store(at, grown(state, own[r].third, own[r].fourth, column.third, column.fourth));
        }
        columns[s].squares = column.squares;
    }
    for (int r = 0; r < R; r++) rows[r].squares = own[r].squares;
}

struct TilePass {
    const Plan& plan;
    const Shape& shape;
    const Encoder* encoder;  // where the state is still to be made
    const float* gates;
    float* state;
    float* stats;

    vec of(long row, long which, long block) const {
        return gate(gates, plan.row_node[row], which, block, shape.blocks);
    }

    void run(const Tile& t, long block, PassRoom& room) const {
        float* e = sheet_of(state, t, block, shape.blocks);
        if (encoder)
            for (long d = 0; d < t.targets; d++)
                encode(plan, *encoder, t, d, block, shape.blocks, e + d * t.sources * W);
        if (t.loop) return run_loop(t, block, e);
        for (long s = 0; s < t.sources; s++) {
            room.first[s] = of(t.source_row + s, A1, block);
            room.running[s] = Running();
        }
        long d = 0;
        for (; d + 2 <= t.targets; d += 2) reduce<2>(t, block, e, d, room);
        if (d < t.targets) reduce<1>(t, block, e, d, room);
        for (long s = 0; s < t.sources; s++) {
            recall_nan(room.running[s], t.targets, [&](long i) {
                return load(e + (i * t.sources + s) * W) * of(t.target_row + i, A1, block);
            });
            room.spread[s] = spread(t.source_row + s, block, room.running[s].sum / float(t.targets));
        }
        for (d = 0; d + 2 <= t.targets; d += 2) grow<2>(t, block, e, d, room);
        if (d < t.targets) grow<1>(t, block, e, d, room);
        for (long s = 0; s < t.sources; s++)
            write_stats(stats_of(stats, t.source_row + s, block, shape.blocks), room.spread[s].mean,
                        room.spread[s].squares, room.running[s].highest, room.running[s].lowest);
    }

    Spread spread(long row, long block, vec mean) const {
        return {of(row, A1, block), of(row, A3, block), of(row, A4, block), mean, vec{}};
    }

    template <int R>
    void reduce(const Tile& t, long block, const float* sheet, long d, PassRoom& room) const {
        const float* e = sheet + d * t.sources * W;
        vec own[R];
        Running rows[R];
        for (int r = 0; r < R; r++) own[r] = of(t.target_row + d + r, A1, block);
        reduce_rows<R>(e, t.sources, own, room.first.data(), room.running.data(), rows);
        for (int r = 0; r < R; r++) {
            const float* row = e + r * t.sources * W;
            recall_nan(rows[r], t.sources, [&](long s) { return load(row + s * W) * room.first[s]; });
            write_stats(stats_of(stats, t.target_row + d + r, block, shape.blocks), rows[r].sum / float(t.sources),
                        vec{}, rows[r].highest, rows[r].lowest);
        }
    }

    template <int R>
    void grow(const Tile& t, long block, float* sheet, long d, PassRoom& room) const {
        Spread rows[R];
        for (int r = 0; r < R; r++)
            rows[r] = spread(t.target_row + d + r, block,
                             load(stats_of(stats, t.target_row + d + r, block, shape.blocks)));
        spread_and_grow_rows<R>(sheet + d * t.sources * W, t.sources, t.targets * t.sources * W, rows,
                                room.spread.data());
        for (int r = 0; r < R; r++)
            store(stats_of(stats, t.target_row + d + r, block, shape.blocks) + W, rows[r].squares);
    }

    // Both ways reduce the same messages.
    void run_loop(const Tile& t, long block, float* sheet) const {
        for (long d = 0; d < t.targets; d++) {
            float* e = sheet + d * t.sources * W;
            vec own = of(t.target_row + d, A1, block);
            vec third = of(t.target_row + d, A3, block), fourth = of(t.target_row + d, A4, block);
            Running row;
            for (long s = 0; s < t.sources; s++) row.add(load(e + s * W) * own);
            recall_nan(row, t.sources, [&](long s) { return load(e + s * W) * own; });
            vec mean = row.sum / float(t.sources), squares = vec{};
            for (long s = 0; s < t.sources; s++) {
                vec u = load(e + s * W), deviation = u * own - mean;
                squares += deviation * deviation;
                store(e + s * W, grown(u, third, fourth, third, fourth));
            }
            for (long first : {t.target_row, t.source_row})
                write_stats(stats_of(stats, first + d, block, shape.blocks), mean, squares, row.highest,
                            row.lowest);
        }
    }
};
